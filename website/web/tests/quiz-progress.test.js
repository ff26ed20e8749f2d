import assert from "node:assert/strict";
import { test } from "node:test";

import { addUp, countAnswers, emptyProgress, mergeProgress, parseProgress } from "../quiz/progress.js";

const NOW = new Date("2026-12-01T12:00:00Z");

/**
 * @param {string} checked
 * @param {object} [changes]
 */
function makeEntry(checked, changes = {}) {
  return { answer: "AC", points: 1.5, of: 2, checked, ...changes };
}

/** @param {Record<string, Record<string, unknown>>} lessons */
function makeFile(lessons) {
  return JSON.stringify({ format: "pixels-to-diffusion-progress", version: 1, lessons });
}

/** @param {unknown} entry */
const readEntry = (entry) => () => parseProgress(makeFile({ "01_a": { q: entry } }), NOW);

test("exported progress can be parsed", () => {
  const lessons = { "01_a": { "why-not": makeEntry("2026-11-29T10:00:00.000Z") } };
  assert.deepEqual(parseProgress(makeFile(lessons), NOW).lessons, lessons);
  assert.deepEqual(parseProgress(JSON.stringify(emptyProgress()), NOW), emptyProgress());
});

test("a wrong file is rejected with a message", () => {
  assert.throws(() => parseProgress("not json", NOW), /is not JSON/);
  assert.throws(() => parseProgress("[]", NOW), /holds no progress/);
  assert.throws(() => parseProgress("null", NOW), /holds no progress/);
  assert.throws(() => parseProgress('{"format": "another"}', NOW), /holds no progress/);
  const newer = '{"format": "pixels-to-diffusion-progress", "version": 2, "lessons": {}}';
  assert.throws(() => parseProgress(newer, NOW), /version 2/);
  const empty = '{"format": "pixels-to-diffusion-progress", "version": 1}';
  assert.throws(() => parseProgress(empty, NOW), /"lessons" is missing/);
});

test("a damaged entry names its lesson and question", () => {
  for (const changes of [
    { answer: "" },
    { answer: "CA" },
    { answer: "AZ" },
    { answer: 3 },
    { points: -1 },
    { points: 3 },
    { points: "1" },
    { points: null },
    { of: 0 },
    { of: "2" },
    { checked: "yesterday" },
    { checked: "2026-99-99T00:00:00Z" },
    { checked: 5 },
  ]) {
    const read = readEntry(makeEntry("2026-11-29T10:00:00.000Z", changes));
    assert.throws(read, /"q" in lesson 01_a/, JSON.stringify(changes));
  }
  assert.throws(readEntry(null), /"q" in lesson 01_a/);
  assert.throws(readEntry([]), /"q" in lesson 01_a/);
});

test("answers of every kind are parsed", () => {
  for (const answer of ["A", "BD", "CABD", "196,608", "12 MB", "-3/4", "1.5e3", "120, 45"]) {
    const entry = makeEntry("2026-11-29T10:00:00.000Z", { answer });
    assert.equal(readEntry(entry)().lessons["01_a"]?.q?.answer, answer);
  }
  for (const answer of ["DCA", "AAB", "many", "<b>1</b>", "1".repeat(61)]) {
    assert.throws(readEntry(makeEntry("2026-11-29T10:00:00.000Z", { answer })), /"q" in lesson/, answer);
  }
});

test("invalid names of lessons and questions are rejected", () => {
  const proto = '{"format": "pixels-to-diffusion-progress", "version": 1, "lessons": {"__proto__": {}}}';
  assert.throws(() => parseProgress(proto, NOW), /__proto__/);
  assert.throws(() => parseProgress(makeFile({ "01_a": { constructor_: {} } }), NOW), /constructor_/);
  assert.throws(() => parseProgress(makeFile({ lesson: {} }), NOW), /"lesson"/);
});

test("an answer from the future counts as given now", () => {
  const progress = readEntry(makeEntry("2030-01-01T00:00:00.000Z"))();
  assert.equal(progress.lessons["01_a"]?.q?.checked, NOW.toISOString());
});

test("of two answers the newer one is kept, and other answers are unchanged", () => {
  const older = makeEntry("2026-11-01T00:00:00.000Z", { answer: "A" });
  const newer = makeEntry("2026-11-02T00:00:00.000Z", { answer: "B" });
  const ours = { ...emptyProgress(), lessons: { "01_a": { p: older, q: newer, r: older } } };
  const theirs = { ...emptyProgress(), lessons: { "01_a": { p: newer, q: older }, "02_b": { s: older } } };
  const { progress, taken } = mergeProgress(ours, theirs);
  assert.equal(taken, 2);
  assert.deepEqual(progress.lessons, {
    "01_a": { p: newer, q: newer, r: older },
    "02_b": { s: older },
  });
  assert.equal(countAnswers(progress), 4);
  assert.deepEqual(ours.lessons["01_a"].p, older); // not changed in place
  assert.equal(mergeProgress(progress, progress).taken, 0);
});

test("a lesson's sum leaves out questions that are gone or have other points", () => {
  const entry = makeEntry("2026-11-01T00:00:00.000Z");
  const sum = addUp({ p: entry, gone: entry, q: { ...entry, of: 1, points: 1 } }, { p: 2, q: 2, r: 1 });
  assert.deepEqual(sum, { answered: 1, questions: 3, earned: 1.5, points: 5 });
  assert.deepEqual(addUp(undefined, { p: 2 }), { answered: 0, questions: 1, earned: 0, points: 2 });
});
