// The questions of a page: course_site/pages/questions.py writes their forms, this file checks them.

import { describeResult, score } from "./scoring.js";
import { loadProgress, recordAnswer, storageProblem } from "./storage.js";

/** Which sign and words an option gets: [right, chosen]. */
const VERDICTS = {
  "right, chosen": { sign: "✓", words: "Rightly chosen." },
  "right, left": { sign: "!", words: "Missed: this one is right." },
  "wrong, chosen": { sign: "✗", words: "Chosen, but this one is wrong." },
  // No tick: beside a wrong answer it would look like praise.
  "wrong, left": { sign: "–", words: "Rightly left out." },
};

let problemIsKnown = false; // shown once per page

/** Prepare every question below an element. */
export function mountQuestions(root = document) {
  for (const form of root.querySelectorAll("form.course-question")) {
    if (form instanceof HTMLFormElement && !("ready" in form.dataset)) {
      form.dataset.ready = "";
      new QuestionForm(form);
    }
  }
}

class QuestionForm {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    const { lesson = "", question = "", points } = form.dataset;
    const key = unpack(form.querySelector("script")?.textContent ?? "");
    this.form = form;
    this.lesson = lesson;
    this.question = question;
    this.points = Number(points);
    this.right = key.right;
    this.explanations = key.explanations;
    this.inputs = [...form.querySelectorAll("input")];
    this.letters = this.inputs.map((input) => input.value).join("");
    this.status = /** @type {HTMLElement} */ (form.querySelector("[role=status]"));
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    button.hidden = false;
    form.addEventListener("change", () => this.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    this.restore();
  }

  get selected() {
    return this.inputs.filter((input) => input.checked).map((input) => input.value).join("");
  }

  /** Show the answer of an earlier visit, with its explanations closed. */
  restore() {
    const entry = loadProgress().lessons[this.lesson]?.[this.question];
    if (!entry || [...entry.answer].some((letter) => !this.letters.includes(letter))) return;
    const earned = score(entry.answer, this.right, this.letters, this.points);
    if (earned !== entry.points || this.points !== entry.of) {
      // The question has another key or other points since then.
      recordAnswer(this.lesson, this.question, { ...entry, points: earned, of: this.points });
    }
    for (const input of this.inputs) input.checked = entry.answer.includes(input.value);
    this.form.dataset.result = resultName(earned, this.points);
    const result = describeResult(earned, this.points);
    this.status.textContent = `${result} Your earlier answer. Press “Check” for the explanations.`;
  }

  check() {
    const selected = this.selected;
    if (!selected) {
      this.status.textContent = "Choose an answer first, then press “Check”.";
      return;
    }
    const earned = score(selected, this.right, this.letters, this.points);
    recordAnswer(this.lesson, this.question, {
      answer: selected,
      points: earned,
      of: this.points,
      checked: new Date().toISOString(),
    });
    this.inputs.forEach((input, index) => {
      this.explain(input, this.explanations[index] ?? "");
    });
    this.form.dataset.result = resultName(earned, this.points);
    const cancelled = earned === 0 && [...selected].some((letter) => this.right.includes(letter));
    const lines = [describeResult(earned, this.points)];
    if (cancelled) lines.push("A wrong choice takes away what a right one earns.");
    if (storageProblem() && !problemIsKnown) {
      lines.push(storageProblem());
      problemIsKnown = true;
    }
    this.status.textContent = lines.join(" ");
  }

  /**
   * @param {HTMLInputElement} input
   * @param {string} explanation HTML from the course's own text
   */
  explain(input, explanation) {
    const isRight = this.right.includes(input.value);
    const key = `${isRight ? "right" : "wrong"}, ${input.checked ? "chosen" : "left"}`;
    const { sign, words } = VERDICTS[/** @type {keyof typeof VERDICTS} */ (key)];
    const place = this.feedbackOf(input);
    place.dataset.verdict = key.replace(", ", "-");
    const mark = document.createElement("span");
    mark.className = "course-question-sign";
    mark.setAttribute("aria-hidden", "true");
    mark.textContent = sign;
    const text = document.createElement("div");
    const verdict = document.createElement("b");
    verdict.textContent = words;
    const parsed = document.createElement("template");
    parsed.innerHTML = explanation;
    text.append(verdict, " ", parsed.content);
    place.replaceChildren(mark, text);
    place.hidden = false;
    input.setAttribute("aria-describedby", place.id);
  }

  /** Hide feedback to an answer that has been changed since. */
  close() {
    for (const input of this.inputs) {
      this.feedbackOf(input).hidden = true;
      input.removeAttribute("aria-describedby");
    }
    delete this.form.dataset.result;
    this.status.textContent = "";
  }

  /** @param {HTMLInputElement} input */
  feedbackOf(input) {
    const item = /** @type {HTMLElement} */ (input.closest("li"));
    return /** @type {HTMLElement} */ (item.querySelector(".course-question-feedback"));
  }
}

/**
 * @param {number} earned
 * @param {number} all
 */
function resultName(earned, all) {
  return earned === 0 ? "wrong" : earned < all ? "partly" : "right";
}

/**
 * The key and explanations: JSON in base64, in a JSON string.
 *
 * @param {string} text
 * @returns {{right: string, explanations: string[]}}
 */
function unpack(text) {
  const bytes = Uint8Array.from(atob(JSON.parse(text)), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
