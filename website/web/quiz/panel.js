// The front page: progress beside each lesson, and a panel to export, import and reset it.

import { addUp, countAnswers, mergeProgress, parseProgress } from "./progress.js";
import { formatNumber, formatPoints } from "./scoring.js";
import { loadProgress, onProgress, resetProgress, saveProgress, storageProblem } from "./storage.js";

const MAX_BYTES = 2 ** 20; // an export of all answers has about 10 KB

/** Fill in all progress displays, and update them when progress changes. */
export function mountProgress(root = document) {
  const places = [.../** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-progress]"))];
  const panels = [.../** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-progress-panel]"))];
  const updates = panels.map((panel) => buildPanel(panel, places));
  const update = () => {
    const { lessons } = loadProgress();
    for (const place of places) {
      const sum = addUp(lessons[place.dataset.progress ?? ""], questionsOf(place));
      place.textContent = describe(sum);
      place.dataset.state = sum.answered === 0 ? "new" : sum.answered < sum.questions ? "begun" : "done";
    }
    for (const updatePanel of updates) updatePanel();
  };
  update();
  onProgress(update);
}

/** @param {HTMLElement} place */
function questionsOf(place) {
  return /** @type {Record<string, number>} */ (JSON.parse(place.dataset.questions || "{}"));
}

/** @param {{answered: number, questions: number, earned: number, points: number}} sum */
function describe({ answered, questions, earned, points }) {
  if (answered === 0) return `${questions} questions, ${formatNumber(points)} points`;
  return `${answered} of ${questions} questions, ${formatPoints(earned, points)}`;
}

/**
 * @param {HTMLElement} panel
 * @param {HTMLElement[]} places
 * @returns {() => void} updates the total
 */
function buildPanel(panel, places) {
  const total = document.createElement("p");
  total.className = "course-progress-total";
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  const file = document.createElement("input");
  file.type = "file";
  file.accept = ".json,application/json";
  file.hidden = true;
  file.setAttribute("aria-label", "Progress file");
  const exporting = makeButton("Export", () => {
    const isEmpty = countAnswers(loadProgress()) === 0;
    status.textContent = isEmpty ? "No answers to export yet." : `Saved as ${exportProgress()}.`;
  });
  const importing = makeButton("Import …", () => file.click());
  const dialog = buildResetDialog(() => {
    resetProgress();
    status.textContent = "All answers are deleted.";
  });
  const resetting = makeButton("Reset …", () => dialog.showModal());
  file.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    if (chosen) status.textContent = await importProgress(chosen);
    file.value = ""; // so that the same file can be chosen again
  });
  const buttons = document.createElement("div");
  buttons.className = "course-progress-buttons";
  buttons.append(exporting, importing, resetting);
  panel.replaceChildren(total, buttons, file, status, dialog);
  panel.hidden = false;
  return () => {
    const progress = loadProgress();
    const sums = places.map((place) => addUp(progress.lessons[place.dataset.progress ?? ""], questionsOf(place)));
    const sum = sums.reduce(
      (total, lesson) => ({
        answered: total.answered + lesson.answered,
        questions: total.questions + lesson.questions,
        earned: total.earned + lesson.earned,
        points: total.points + lesson.points,
      }),
      { answered: 0, questions: 0, earned: 0, points: 0 },
    );
    const kept = storageProblem() || "Your answers are kept in this browser only.";
    total.textContent = `Your progress: ${describe(sum)}. ${kept}`;
  };
}

/**
 * @param {string} text
 * @param {() => void} onClick
 */
function makeButton(text, onClick) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", onClick);
  return button;
}

/** @param {() => void} onConfirm */
function buildResetDialog(onConfirm) {
  const dialog = document.createElement("dialog");
  dialog.className = "course-progress-dialog";
  dialog.setAttribute("aria-label", "Delete all answers?");
  const text = document.createElement("p");
  text.textContent = "Delete all your answers in this browser? Only an exported file brings them back.";
  const keep = makeButton("Keep them", () => dialog.close());
  keep.autofocus = true;
  const remove = makeButton("Delete them", () => {
    dialog.close();
    onConfirm();
  });
  const buttons = document.createElement("div");
  buttons.className = "course-progress-buttons";
  buttons.append(keep, remove);
  dialog.append(text, buttons);
  return dialog;
}

/** @returns {string} the file's name */
function exportProgress() {
  const text = JSON.stringify(loadProgress(), null, 1) + "\n";
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `pixels-to-diffusion-progress-${new Date().toISOString().slice(0, 10)}.json`;
  link.click();
  // The download starts after this function returns.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return link.download;
}

/**
 * @param {File} file
 * @returns {Promise<string>} the message for the status line
 */
async function importProgress(file) {
  if (file.size > MAX_BYTES) {
    return "This file is too large for exported progress. Nothing was changed.";
  }
  try {
    const imported = parseProgress(await file.text());
    const { progress, taken } = mergeProgress(loadProgress(), imported);
    if (taken) saveProgress(progress);
    const count = countAnswers(imported);
    return `Read ${count} ${count === 1 ? "answer" : "answers"}; ${taken} of them new or newer than here.`;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${reason} Nothing was changed.`;
  }
}
