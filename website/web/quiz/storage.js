// Progress in localStorage. Where that is blocked, full or unreadable, progress is kept in memory.

import { emptyProgress, parseProgress } from "./progress.js";

/** @typedef {import("./progress.js").Progress} Progress */
/** @typedef {import("./progress.js").Entry} Entry */

export const KEY = "pixels-to-diffusion-progress";

/** @type {Progress | null} progress that could not be saved */
let unsaved = null;
/** @type {string} why progress could not be saved: a sentence, or "" */
let problem = "";

/**
 * The progress of all lessons.
 *
 * @returns {Progress}
 */
export function loadProgress() {
  if (unsaved) return structuredClone(unsaved);
  let text;
  try {
    text = localStorage.getItem(KEY);
  } catch {
    return keepInMemory(emptyProgress(), "Your browser does not let this page save anything.");
  }
  if (text === null) return emptyProgress();
  try {
    return parseProgress(text);
  } catch {
    // Not overwritten: a newer version of the site may be able to read it.
    return keepInMemory(
      emptyProgress(),
      "The progress saved in your browser cannot be read; resetting it on the front page helps.",
    );
  }
}

/** @param {Progress} progress */
export function saveProgress(progress) {
  if (unsaved) {
    unsaved = structuredClone(progress);
  } else {
    try {
      localStorage.setItem(KEY, JSON.stringify(progress));
    } catch {
      keepInMemory(progress, "Your browser has no room left to save your progress.");
    }
  }
  document.dispatchEvent(new CustomEvent("course-progress"));
}

/**
 * Save one answer without overwriting answers that other tabs have saved.
 *
 * @param {string} lesson
 * @param {string} question
 * @param {Entry} entry
 */
export function recordAnswer(lesson, question, entry) {
  const progress = loadProgress();
  (progress.lessons[lesson] ??= {})[question] = entry;
  saveProgress(progress);
}

/** Delete all progress, including unreadable progress. */
export function resetProgress() {
  try {
    localStorage.removeItem(KEY);
    unsaved = null;
    problem = "";
  } catch {
    unsaved = emptyProgress();
  }
  document.dispatchEvent(new CustomEvent("course-progress"));
}

/** Why progress is not saved: one sentence, or "". */
export function storageProblem() {
  return problem && `${problem} Your answers last until you leave this page.`;
}

/**
 * Call a function whenever progress changes, in this tab or another tab.
 *
 * @param {() => void} listener
 */
export function onProgress(listener) {
  document.addEventListener("course-progress", listener);
  window.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) listener();
  });
}

/**
 * @param {Progress} progress
 * @param {string} reason
 */
function keepInMemory(progress, reason) {
  unsaved = structuredClone(progress);
  problem = reason;
  return progress;
}
