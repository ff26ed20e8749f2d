import assert from "node:assert/strict";
import { test } from "node:test";

import { describeResult, formatNumber, formatPoints, score } from "../quiz/scoring.js";

test("the score is the fraction of right options minus the fraction of wrong options", () => {
  assert.equal(score("BC", "BC", "ABCD", 2), 2);
  assert.equal(score("B", "BC", "ABCD", 2), 1);
  assert.equal(score("AB", "BC", "ABCD", 2), 0);
  assert.equal(score("ABC", "BC", "ABCD", 2), 1);
});

test("no answer, every option, and mostly wrong options earn nothing", () => {
  assert.equal(score("", "BC", "ABCD", 2), 0);
  assert.equal(score("ABCD", "BC", "ABCD", 2), 0);
  assert.equal(score("AD", "BC", "ABCD", 2), 0);
});

test("the status line names the result and its points", () => {
  assert.equal(describeResult(2, 2), "Right: 2 of 2 points.");
  assert.equal(describeResult(4 / 3, 2), "Partly right: 1.33 of 2 points.");
  assert.equal(describeResult(0, 1), "Wrong: 0 of 1 point.");
});

test("numbers have at most two decimals", () => {
  assert.equal(formatNumber(2 / 3), "0.67");
  assert.equal(formatNumber(2), "2");
  assert.equal(formatPoints(0.5, 1), "0.5 of 1 point");
});
