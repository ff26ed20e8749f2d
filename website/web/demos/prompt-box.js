/** The sentence: typed, chosen, or thrown by dice; words that were never trained on are named. */

import { COLOURS, OBJECTS, checkSentence, makeCaption } from "../diffusion/captions.js";
import { button, choice, element, field, uniqueId } from "./controls.js";

export class PromptBox {
  /**
   * @param {string} sentence at first
   * @param {() => void} onSubmit when Enter is pressed
   */
  constructor(sentence, onSubmit) {
    const list = uniqueId("demo-sentences");
    this.input = element("input", {
      class: "demo-input",
      type: "text",
      list,
      maxlength: 120,
      autocomplete: "off",
      spellcheck: "false",
      value: sentence,
      oninput: () => this.check(),
    });
    const options = element("datalist", { id: list });
    options.append(...OBJECTS.map((name) => new Option(makeCaption(name, random(COLOURS)))));
    this.object = choice("Object", ["", ...OBJECTS], "", () => this.compose());
    this.colour = choice("Background", ["", ...COLOURS], "", () => this.compose());
    for (const { select } of [this.object, this.colour]) select.options[0].text = "—";
    this.notice = element("div", { class: "demo-notice", "aria-live": "polite" });
    this.dice = button("Surprise me", () => this.set(makeCaption(random(OBJECTS), random(COLOURS))));
    const sentenceField = field("Sentence", this.input, options);
    this.element = element("form", { class: "demo-prompt" },
      sentenceField, this.notice,
      element("div", { class: "demo-choices" }, this.object.field, this.colour.field));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      onSubmit();
    });
    this.check();
  }

  get sentence() {
    return this.input.value.trim();
  }

  /** @param {string} sentence */
  set(sentence) {
    this.input.value = sentence;
    this.check();
  }

  /** Writes the sentence of the chosen object and colour. */
  compose() {
    const name = this.object.select.value || random(OBJECTS);
    this.set(makeCaption(name, this.colour.select.value || random(COLOURS)));
  }

  /** Names unknown words, offers the nearest sentence, and shows object and colour if both are known. */
  check() {
    const { isTrained, nearest, unknown, objects, colour } = checkSentence(this.sentence);
    this.object.select.value = objects[0] ?? "";
    this.colour.select.value = colour ?? "";
    this.notice.replaceChildren();
    if (!this.sentence || isTrained) return;
    const marked = element("p", {}, ...markWords(this.sentence, unknown));
    const reason = unknown.length
      ? "The model was never trained on the underlined words. It draws something, but not that. "
      : "The model was trained on sentences of another form. ";
    const offer = button(nearest, () => this.set(nearest), { class: "demo-offer" });
    this.notice.append(marked, element("p", {}, reason, "Nearest: ", offer));
  }
}

/**
 * @param {string} sentence
 * @param {readonly string[]} unknown
 */
function markWords(sentence, unknown) {
  return sentence.split(/(\s+)/).map((word) => {
    const bare = word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
    return bare && unknown.includes(bare) ? element("u", { class: "demo-unknown" }, word) : word;
  });
}

/** @template T @param {readonly T[]} values @returns {T} */
function random(values) {
  return values[Math.floor(Math.random() * values.length)];
}
