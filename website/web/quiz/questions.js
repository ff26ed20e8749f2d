// Checks the question forms that course_site/pages/questions.py writes.

import { mountKind } from "./kinds.js";
import { makeLetters } from "./letters.js";
import { describeResult } from "./scoring.js";
import { loadProgress, recordAnswer, storageProblem } from "./storage.js";

let wasProblemShown = false; // the storage problem is shown once per page

/** Activate every question below an element. */
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
    this.kind = mountKind(form, key) ?? makeLetters(form, key);
    this.status = /** @type {HTMLElement} */ (form.querySelector("[role=status]"));
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    button.hidden = false;
    for (const name of ["change", "input"]) form.addEventListener(name, () => this.close());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check();
    });
    this.restore();
  }

  /** @param {string} answer */
  score(answer) {
    return this.points * this.kind.share(answer);
  }

  /** Show the answer of an earlier visit, with its explanations closed. */
  restore() {
    const entry = loadProgress().lessons[this.lesson]?.[this.question];
    if (!entry || !this.canShow(entry.answer)) return;
    const earned = this.score(entry.answer);
    if (earned !== entry.points || this.points !== entry.of) {
      // The question's key or maximum score has changed since then.
      recordAnswer(this.lesson, this.question, { ...entry, points: earned, of: this.points });
    }
    this.kind.show(entry.answer);
    this.form.dataset.result = resultName(earned, this.points);
    const result = describeResult(earned, this.points);
    this.status.textContent = `${result} Your earlier answer. Press “Check” for the explanations.`;
  }

  /**
   * Whether the controls can show a saved answer: the question may have changed since then.
   *
   * @param {string} answer
   */
  canShow(answer) {
    const options = [...this.form.querySelectorAll("li input")].map((input) => /** @type {HTMLInputElement} */ (input).value);
    if (!options.length) {
      try {
        return /\d/.test(answer) && this.score(answer) >= 0;
      } catch {
        return false; // the kind or the unit of the question has changed
      }
    }
    const isOrder = this.form.dataset.kind === "order";
    return [...answer].every((letter) => options.includes(letter)) && (!isOrder || answer.length === options.length);
  }

  check() {
    let answer;
    try {
      answer = this.kind.read();
    } catch (error) {
      this.status.textContent = error instanceof Error ? error.message : String(error);
      return;
    }
    if (!answer) {
      this.status.textContent = "Choose an answer first, then press “Check”.";
      return;
    }
    const earned = this.score(answer);
    recordAnswer(this.lesson, this.question, {
      answer,
      points: earned,
      of: this.points,
      checked: new Date().toISOString(),
    });
    this.kind.explain(answer);
    this.form.dataset.result = resultName(earned, this.points);
    const isChoice = ["any", "one"].includes(this.form.dataset.kind ?? "");
    const cancelled = isChoice && earned === 0 && [...answer].some((letter) => this.right.includes(letter));
    const lines = [describeResult(earned, this.points)];
    if (cancelled) lines.push("A wrong choice takes away what a right one earns.");
    if (storageProblem() && !wasProblemShown) {
      lines.push(storageProblem());
      wasProblemShown = true;
    }
    this.status.textContent = lines.join(" ");
  }

  /** Hide the feedback when the answer changes. */
  close() {
    this.kind.close();
    delete this.form.dataset.result;
    this.status.textContent = "";
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
 * The answer key and explanations: base64-encoded JSON in a JSON string.
 *
 * @param {string} text
 * @returns {import("./kinds.js").Key}
 */
function unpack(text) {
  const bytes = Uint8Array.from(atob(JSON.parse(text)), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
