// Choice questions, with a feedback element below each option.

import { score } from "./scoring.js";

/** The text says separately whether an option is right and whether it was chosen: a tick alone would be ambiguous. */
const VERDICTS = {
  "right-chosen": { sign: "✓", words: "Right: you chose it." },
  "right-left": { sign: "!", words: "Right: you missed it." },
  "wrong-chosen": { sign: "✗", words: "Wrong: you chose it." },
  "wrong-left": { sign: "–", words: "Wrong: you left it out." },
};

/**
 * @param {HTMLFormElement} form
 * @param {import("./kinds.js").Key} key
 * @returns {import("./kinds.js").Kind}
 */
export function makeLetters(form, key) {
  const inputs = [...form.querySelectorAll("input")];
  const letters = inputs.map((input) => input.value).join("");
  return {
    read: () => inputs.filter((input) => input.checked).map((input) => input.value).join(""),
    show: (answer) => {
      for (const input of inputs) input.checked = answer.includes(input.value);
    },
    share: (answer) => score(answer, key.right, letters, 1),
    explain: () => inputs.forEach((input, index) => explain(input, key.right, key.explanations[index] ?? "")),
    close: () => {
      for (const input of inputs) {
        feedbackOf(input).hidden = true;
        input.removeAttribute("aria-describedby");
      }
    },
  };
}

/**
 * @param {HTMLInputElement} input
 * @param {string} right
 * @param {string} explanation HTML from the course's own text
 */
function explain(input, right, explanation) {
  const verdict = `${right.includes(input.value) ? "right" : "wrong"}-${input.checked ? "chosen" : "left"}`;
  const { sign, words } = VERDICTS[/** @type {keyof typeof VERDICTS} */ (verdict)];
  const place = feedbackOf(input);
  place.dataset.verdict = verdict;
  const mark = document.createElement("span");
  mark.className = "course-question-sign";
  mark.setAttribute("aria-hidden", "true");
  mark.textContent = sign;
  const text = document.createElement("div");
  const verdictText = document.createElement("b");
  verdictText.textContent = words;
  const parsed = document.createElement("template");
  parsed.innerHTML = explanation;
  text.append(verdictText, " ", parsed.content);
  place.replaceChildren(mark, text);
  place.hidden = false;
  input.setAttribute("aria-describedby", place.id);
}

/** @param {HTMLInputElement} input */
function feedbackOf(input) {
  const item = /** @type {HTMLElement} */ (input.closest("li"));
  return /** @type {HTMLElement} */ (item.querySelector(".course-question-feedback"));
}
