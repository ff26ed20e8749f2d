// Points as course_lib/quiz/scoring.py gives them, for every key and every answer: the file named by
// COURSE_SCORING_TABLE, which tests/website/test_javascript.py writes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { env } from "node:process";
import { test } from "node:test";

import { score } from "../quiz/scoring.js";

const path = env.COURSE_SCORING_TABLE;

test("points agree with the Python rule", { skip: path ? false : "run by pytest" }, () => {
  /** @type {[string, string, string, number, number][]} */
  const table = JSON.parse(readFileSync(path ?? "", "utf8"));
  assert.ok(table.length > 1000);
  for (const [selected, right, letters, points, expected] of table) {
    assert.equal(score(selected, right, letters, points), expected, `${selected} of ${letters}, key ${right}`);
  }
});
