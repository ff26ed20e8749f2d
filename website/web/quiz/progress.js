// The progress format, which README.md describes: validating, merging, totals.

export const FORMAT = "pixels-to-diffusion-progress";
export const VERSION = 1;

/**
 * A checked answer: the answer as given, its score, the maximum score, and the time.
 *
 * @typedef {{answer: string, points: number, of: number, checked: string}} Entry
 */
/** @typedef {Record<string, Record<string, Entry>>} Lessons */
/** @typedef {{format: string, version: number, lessons: Lessons}} Progress */

/** @returns {Progress} */
export function emptyProgress() {
  return { format: FORMAT, version: VERSION, lessons: {} };
}

/**
 * Parse exported progress. Error messages are for the visitor.
 *
 * @param {string} text
 * @param {Date} now answers from the future count as given now
 * @returns {Progress}
 */
export function parseProgress(text, now = new Date()) {
  /** @type {unknown} */
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Error("This file is not JSON. Choose a file that this site has exported.");
  }
  if (!isRecord(content) || content.format !== FORMAT) {
    throw new Error("This file holds no progress of this course. Choose a file that this site has exported.");
  }
  if (content.version !== VERSION) {
    throw new Error(
      `This file has format version ${String(content.version)}, and this page reads version ${VERSION}: export it again.`,
    );
  }
  if (!isRecord(content.lessons)) throw new Error('The file is damaged: "lessons" is missing.');
  const progress = emptyProgress();
  for (const [lesson, questions] of Object.entries(content.lessons)) {
    if (!/^[0-9]{2}_[a-z0-9_]+$/.test(lesson) || !isRecord(questions)) {
      throw new Error(`The file is damaged: it has no readable lesson ${JSON.stringify(lesson)}.`);
    }
    /** @type {Record<string, Entry>} */
    const entries = {};
    for (const [question, entry] of Object.entries(questions)) {
      const readable = /^[a-z0-9]+(-[a-z0-9]+)*$/.test(question) && readEntry(entry, now);
      if (!readable) {
        throw new Error(
          `The file is damaged: the answer to ${JSON.stringify(question)} in lesson ${lesson} cannot be read.`,
        );
      }
      entries[question] = readable;
    }
    progress.lessons[lesson] = entries;
  }
  return progress;
}

/**
 * @param {unknown} entry
 * @param {Date} now
 * @returns {Entry | null} null if it is malformed
 */
function readEntry(entry, now) {
  if (!isRecord(entry)) return null;
  const { answer, points, of, checked } = entry;
  if (typeof answer !== "string" || !isAnswer(answer)) return null;
  if (typeof of !== "number" || !Number.isFinite(of) || of <= 0) return null;
  if (typeof points !== "number" || !(points >= 0 && points <= of)) return null;
  if (typeof checked !== "string" || !/^\d{4}-\d\d-\d\dT/.test(checked)) return null;
  const time = Date.parse(checked);
  if (Number.isNaN(time)) return null;
  // Otherwise an answer given while the clock was fast would always count as the newest.
  return { answer, points, of, checked: new Date(Math.min(time, now.getTime())).toISOString() };
}

/**
 * Whether a text is a valid answer: sorted option letters; all step letters in any order; a number;
 * or a point.
 *
 * @param {string} answer
 */
function isAnswer(answer) {
  if (!answer || answer.length > 60) return false;
  if (/^A?B?C?D?E?F?G?H?$/.test(answer)) return true;
  if (/^[A-H]{3,}$/.test(answer)) return [...answer].sort().join("") === "ABCDEFGH".slice(0, answer.length);
  return /^[^A-Z<>&"\\]*\d/.test(answer) && !/[<>&"\\]/.test(answer);
}

/**
 * Merge two records of progress; of two answers to the same question the newer one is kept.
 *
 * @param {Progress} ours
 * @param {Progress} theirs
 * @returns {{progress: Progress, taken: number}} taken: how many of their answers were merged
 */
export function mergeProgress(ours, theirs) {
  const progress = structuredClone(ours);
  let taken = 0;
  for (const [lesson, questions] of Object.entries(theirs.lessons)) {
    const merged = (progress.lessons[lesson] ??= {});
    for (const [question, entry] of Object.entries(questions)) {
      const existing = merged[question];
      if (existing && Date.parse(existing.checked) >= Date.parse(entry.checked)) continue;
      merged[question] = { ...entry };
      taken += 1;
    }
  }
  return { progress, taken };
}

/**
 * A lesson's totals. Answers to questions that the lesson no longer has, or whose maximum score has
 * changed, do not count.
 *
 * @param {Record<string, Entry> | undefined} entries
 * @param {Record<string, number>} questions the points of the lesson's questions, by name
 */
export function addUp(entries, questions) {
  const names = Object.keys(questions);
  const answered = names.filter((name) => entries?.[name]?.of === questions[name]);
  return {
    answered: answered.length,
    questions: names.length,
    earned: answered.reduce((sum, name) => sum + (entries?.[name]?.points ?? 0), 0),
    points: names.reduce((sum, name) => sum + (questions[name] ?? 0), 0),
  };
}

/**
 * @param {Progress} progress
 * @returns {number} how many answers it holds
 */
export function countAnswers(progress) {
  return Object.values(progress.lessons).reduce((sum, entries) => sum + Object.keys(entries).length, 0);
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
