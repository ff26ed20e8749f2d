// Scores and parsed numbers must equal course_lib/quiz's: tests/website/test_javascript.py writes them into the
// file that COURSE_SCORING_TABLE names.

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

test("scores agree with Python", options, () => {
  /** @type {[string, string, string, number, number][]} */
  const table = readTables().letters;
  assert.ok(table.length > 1000);
  for (const [selected, right, letters, points, expected] of table) {
    assert.equal(score(selected, right, letters, points), expected, `${selected} of ${letters}, key ${right}`);
  }
});

test("numbers are parsed as in Python", options, () => {
  /** @type {[string, number | string | null][]} */
  const table = readTables().numbers;
  assert.ok(table.length > 30);
  for (const [text, expected] of table) {
    if (expected === "refused") assert.throws(() => parseNumber(text, "MB"), Error, text);
    else assert.equal(parseNumber(text, "MB"), expected, text);
  }
});

test("scores of ordering questions agree with Python", options, () => {
  /** @type {[string, string, number][]} */
  const table = readTables().orders;
  for (const [answer, right, share] of table) assert.equal(orderShare(answer, right), share, `${answer} for ${right}`);
});
