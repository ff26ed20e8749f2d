/** The prompt field: typed, composed from lists, or random; it marks words missing in the training data. */

import {
  COLOURS, OBJECTS, PLACES, SIZES, STYLES, checkSentence, describe, makeCaption,
} from "../diffusion/sentences.js";
import { button, dropdown, element, field, uniqueId } from "./controls.js";

const EXAMPLES = [
  "a fox and a banana on a blue background",
  "a small flat owl on the left on a yellow background",
];

export class PromptBox {
  /**
   * @param {string} sentence the initial prompt
   * @param {() => void} onSubmit called when Enter is pressed
   * @param {{onChange?: () => void, captionsOnly?: boolean}} [options] `onChange` is called when the
   *   sentence has changed; `captionsOnly`: whether the model knows only sentences of one object and
   *   a background colour
   */
  constructor(sentence, onSubmit, { onChange, captionsOnly = false } = {}) {
    this.onChange = () => {};
    this.compare = captionsOnly ? checkCaption : checkSentence;
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
    const suggestions = OBJECTS.map((name) => makeCaption(name, pickRandom(COLOURS)));
    if (!captionsOnly) suggestions.unshift(...EXAMPLES);
    options.append(...suggestions.map((suggestion) => new Option(suggestion)));
    this.object = dropdown("Object", ["", ...OBJECTS], "", () => this.compose());
    this.colour = dropdown("Background", ["", ...COLOURS], "", () => this.compose());
    for (const { select } of [this.object, this.colour]) select.options[0].text = "—";
    this.notice = element("div", { class: "demo-notice", "aria-live": "polite" });
    this.randomButton = button("Surprise me", () => this.set(captionsOnly ? randomCaption() : randomSentence()));
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
    const { isTrained, reason, nearest, unknown, objects, colour } = this.compare(this.sentence);
    this.object.select.value = objects[0] ?? "";
    this.colour.select.value = colour ?? "";
    this.notice.replaceChildren();
    this.onChange();
    if (!this.sentence || isTrained) return;
    const markedSentence = element("p", {}, ...markWords(this.sentence, unknown));
    const problem = unknown.length
      ? "The underlined words are not in the training data: the picture will not show them."
      : reason;
    const offer = button(nearest, () => this.set(nearest), { class: "demo-offer" });
    this.notice.append(markedSentence, element("p", {}, problem, " Nearest: ", offer));
  }
}

/** As checkSentence, for a model that was trained on captions only. @param {string} sentence */
function checkCaption(sentence) {
  const check = checkSentence(sentence);
  const { objects: [name], colour = "" } = checkSentence(check.nearest);
  const nearest = makeCaption(name, colour);
  if (!check.isTrained || check.nearest === nearest) return { ...check, nearest };
  const reason = "This model was trained on one object and a background colour only.";
  return { ...check, isTrained: false, reason, nearest };
}

/**
 * @param {string} sentence
 * @param {readonly string[]} unknown
 */
function markWords(sentence, unknown) {
  return sentence.split(/([\p{L}\p{N}]+)/u).map((word) => (
    unknown.includes(word.toLowerCase()) ? element("u", { class: "demo-unknown" }, word) : word));
}

/** One object, in every second sentence; else with all its properties, or two objects. */
function randomSentence() {
  if (Math.random() < 0.5) return randomCaption();
  const name = pickRandom(OBJECTS);
  const one = { name, size: pickRandom(SIZES), style: pickRandom(STYLES), place: pickRandom([...PLACES.keys()]) };
  const two = [{ name }, { name: pickRandom(OBJECTS.filter((other) => other !== name)) }];
  return describe({ objects: pickRandom([[one], two]), colour: pickRandom(COLOURS) });
}

function randomCaption() {
  return makeCaption(pickRandom(OBJECTS), pickRandom(COLOURS));
}

/** @template T @param {readonly T[]} values @returns {T} */
function pickRandom(values) {
  return values[Math.floor(Math.random() * values.length)];
}
