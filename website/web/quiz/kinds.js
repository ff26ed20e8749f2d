// How each kind of question is answered and explained. questions.js records the results.

import { parseNumber } from "./numbers.js";
import { countPairs, mountOrder, orderShare } from "./order.js";
import { mountPoint } from "./point.js";

/**
 * The answer key, as course_site/pages/questions.py packs it. `values`: numbers with their tolerances,
 * or boxes; the first `rights` boxes are right.
 *
 * @typedef {{right: string, explanations: string[], unit?: string, shown?: string, rights?: number,
 *   values?: number[][]}} Key
 */

/**
 * The interface of a kind of question. `read` returns the answer, "" if it is blank, and throws an
 * Error with a message for the visitor if it is invalid or incomplete. `share` is the fraction of the
 * points, from 0 to 1. `explain` shows the feedback, `close` hides it.
 *
 * @typedef {{read: () => string, show: (answer: string) => void, share: (answer: string) => number,
 *   explain: (answer: string) => void, close: () => void}} Kind
 */

/**
 * The kind of a question with one feedback element below its controls; null for choices.
 *
 * @param {HTMLFormElement} form
 * @param {Key} key
 * @returns {Kind | null}
 */
export function mountKind(form, key) {
  const make = { number: makeNumber, order: makeOrder, point: makePoint }[form.dataset.kind ?? ""];
  return make ? make(form, key, new Feedback(form)) : null;
}

/** The feedback element: a verdict, an explanation, and details to unfold. */
class Feedback {
  /** @param {HTMLFormElement} form */
  constructor(form) {
    // Each step has its own feedback element, which stays empty; this one is below all steps.
    this.place = /** @type {HTMLElement} */ (form.querySelector("fieldset > .course-question-feedback"));
    this.place.setAttribute("role", "group");
  }

  /**
   * @param {number} share of the points
   * @param {string} html the course's own text
   * @param {{summary: string, html: string} | null} [more]
   */
  show(share, html, more = null) {
    const words = share === 1 ? "Right" : share > 0 ? "Partly right" : "Wrong";
    this.place.dataset.verdict = share === 1 ? "right-chosen" : "wrong-chosen";
    const details = more ? `<details><summary>${more.summary}</summary>${more.html}</details>` : "";
    this.place.innerHTML = `<div><b>${words}.</b> ${html}${details}</div>`;
    this.place.hidden = false;
  }

  close() {
    this.place.hidden = true;
  }
}

/**
 * @param {HTMLFormElement} form
 * @param {Key} key
 * @param {Feedback} feedback
 * @returns {Kind}
 */
function makeNumber(form, key, feedback) {
  const input = /** @type {HTMLInputElement} */ (form.querySelector("input"));
  /** @param {string} answer */
  const match = (answer) => {
    const typed = parseNumber(answer, key.unit) ?? NaN;
    // a small tolerance for rounding: Python computes the margins with exact fractions
    return (key.values ?? []).findIndex(
      ([value = NaN, margin = 0]) => Math.abs(typed - value) <= margin + 1e-12 * Math.abs(value),
    );
  };
  return {
    read: () => (parseNumber(input.value, key.unit) === null ? "" : input.value.trim()),
    show: (answer) => {
      input.value = answer;
    },
    share: (answer) => (match(answer) === 0 ? 1 : 0),
    explain: (answer) => {
      const index = match(answer);
      const value = document.createElement("b");
      value.textContent = key.shown ?? "";
      const right = { summary: "Show the right value", html: `<p>${value.outerHTML}: ${key.explanations[0]}</p>` };
      if (index === 0) feedback.show(1, key.explanations[0] ?? "");
      else feedback.show(0, key.explanations[index] ?? "The course has no explanation for this value.", right);
    },
    close: () => feedback.close(),
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {Key} key
 * @param {Feedback} feedback
 * @returns {Kind}
 */
function makeOrder(form, key, feedback) {
  const control = mountOrder(form);
  const letters = [...key.right].sort().join("");
  return {
    read: () => {
      const answer = control.read();
      if (answer && !control.isComplete()) throw new Error(`Tick all ${letters.length} steps, then press “Check”.`);
      return answer;
    },
    show: control.show,
    share: (answer) => orderShare(answer, key.right),
    explain: (answer) => {
      const entries = [...key.right].map((letter) => {
        const text = form.querySelector(`li input[value="${letter}"]`)?.parentElement?.lastElementChild?.innerHTML;
        return `<li>${text} <br>${key.explanations[letters.indexOf(letter)]}</li>`;
      });
      const steps = `<ol>${entries.join("")}</ol>`;
      const { inOrder, pairs } = countPairs(answer, key.right);
      const share = orderShare(answer, key.right);
      const counted = `${inOrder} of ${pairs} pairs of steps are in the right order; a random order would have half of them right.`;
      if (share === 1) feedback.show(1, `This is the order.${steps}`);
      else feedback.show(share, counted, { summary: "Show the right order", html: steps });
    },
    close: () => feedback.close(),
  };
}

/**
 * @param {HTMLFormElement} form
 * @param {Key} key
 * @param {Feedback} feedback
 * @returns {Kind}
 */
function makePoint(form, key, feedback) {
  const control = mountPoint(form);
  /** @param {string} answer */
  const match = (answer) => {
    const [x = NaN, y = NaN] = answer.split(",").map(Number);
    return (key.values ?? []).findIndex(
      ([x0 = 0, y0 = 0, x1 = 0, y1 = 0]) => x0 <= x && x <= x1 && y0 <= y && y <= y1,
    );
  };
  /** @param {number} index */
  const isRight = (index) => index >= 0 && index < (key.rights ?? 1);
  return {
    read: () => {
      if (control.read() && !control.isInside()) throw new Error("This point is outside the figure.");
      return control.read();
    },
    show: control.show,
    share: (answer) => (isRight(match(answer)) ? 1 : 0),
    explain: (answer) => {
      const index = match(answer);
      const right = { summary: "Show the right place", html: `<p>${key.explanations[0]}</p>` };
      control.showAreas(isRight(index));
      if (isRight(index)) feedback.show(1, key.explanations[index] ?? "");
      else feedback.show(0, key.explanations[index] ?? "The place asked for is elsewhere in the figure.", right);
      const details = feedback.place.querySelector("details");
      details?.addEventListener("toggle", () => control.showAreas(details.open));
    },
    close: () => {
      control.showAreas(false);
      feedback.close();
    },
  };
}
