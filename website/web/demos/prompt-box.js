/** The prompt field: typed, composed from lists, or random; it marks words missing in the training data. */

import { COLOURS, OBJECTS, checkSentence, makeCaption } from "../diffusion/captions.js";
import { button, dropdown, element, field, uniqueId } from "./controls.js";

export class PromptBox {
  /**
   * @param {string} sentence the initial prompt
   * @param {() => void} onSubmit called when Enter is pressed
   * @param {() => void} [onChange] called when the sentence has changed
   */
  constructor(sentence, onSubmit, onChange) {
    this.onChange = () => {};
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
    options.append(...OBJECTS.map((name) => new Option(makeCaption(name, pickRandom(COLOURS)))));
    this.object = dropdown("Object", ["", ...OBJECTS], "", () => this.compose());
    this.colour = dropdown("Background", ["", ...COLOURS], "", () => this.compose());
    for (const { select } of [this.object, this.colour]) select.options[0].text = "—";
    this.notice = element("div", { class: "demo-notice", "aria-live": "polite" });
    this.randomButton = button("Surprise me", () => this.set(makeCaption(pickRandom(OBJECTS), pickRandom(COLOURS))));
    const sentenceField = field("Sentence", this.input, options);
    this.element = element("form", { class: "demo-prompt" },
      sentenceField, this.notice,
      element("div", { class: "demo-choices" }, this.object.field, this.colour.field));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      onSubmit();
    });
    this.check();
    this.onChange = onChange ?? this.onChange; // not for the initial sentence
  }

  get sentence() {
    return this.input.value.trim();
  }

  /** @param {string} sentence */
  set(sentence) {
    this.input.value = sentence;
    this.check();
  }

  /** Sets the sentence of the chosen object and colour, each random if none is chosen. */
  compose() {
    const name = this.object.select.value || pickRandom(OBJECTS);
    this.set(makeCaption(name, this.colour.select.value || pickRandom(COLOURS)));
  }

  /** Marks unknown words, offers the nearest known sentence, and selects the object and colour found. */
  check() {
    const { isTrained, nearest, unknown, objects, colour } = checkSentence(this.sentence);
    this.object.select.value = objects[0] ?? "";
    this.colour.select.value = colour ?? "";
    this.notice.replaceChildren();
    this.onChange();
    if (!this.sentence || isTrained) return;
    const markedSentence = element("p", {}, ...markWords(this.sentence, unknown));
    const reason = unknown.length
      ? "The underlined words are not in the training data: the picture will not show them. "
      : "The model was trained on sentences of another form. ";
    const offer = button(nearest, () => this.set(nearest), { class: "demo-offer" });
    this.notice.append(markedSentence, element("p", {}, reason, "Nearest: ", offer));
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
function pickRandom(values) {
  return values[Math.floor(Math.random() * values.length)];
}
