// Points as course_lib/quiz gives them, for every key and every answer, and numbers as it reads them: the file
// named by COURSE_SCORING_TABLE, which tests/website/test_javascript.py writes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { env } from "node:process";
import { test } from "node:test";

import { parseNumber } from "../quiz/numbers.js";
import { orderShare } from "../quiz/order.js";
import { score } from "../quiz/scoring.js";

const path = env.COURSE_SCORING_TABLE;
const options = { skip: path ? false : "run by pytest" };
const readTables = () => JSON.parse(readFileSync(path ?? "", "utf8"));

test("points agree with the Python rule", options, () => {
  /** @type {[string, string, string, number, number][]} */
  const table = readTables().letters;
  assert.ok(table.length > 1000);
  for (const [selected, right, letters, points, expected] of table) {
    assert.equal(score(selected, right, letters, points), expected, `${selected} of ${letters}, key ${right}`);
  }
});

test("numbers are read as in Python", options, () => {
  /** @type {[string, number | string | null][]} */
  const table = readTables().numbers;
  assert.ok(table.length > 30);
  for (const [text, expected] of table) {
    if (expected === "refused") assert.throws(() => parseNumber(text, "MB"), Error, text);
    else assert.equal(parseNumber(text, "MB"), expected, text);
  }
});

test("orders are worth what they are in Python", options, () => {
  /** @type {[string, string, number][]} */
  const table = readTables().orders;
  for (const [answer, right, share] of table) assert.equal(orderShare(answer, right), share, `${answer} for ${right}`);
});
