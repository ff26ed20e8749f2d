/** Lesson 8: the one-step model draws a picture with every key press. */

import { checkSentence } from "../diffusion/sentences.js";
import { generateInOneStep } from "../diffusion/pipeline.js";
import { button, coalesce, element, seedField, statusLine } from "./controls.js";
import { loadModels } from "./models.js";
import { draw } from "./pictures.js";
import { PromptBox } from "./prompt-box.js";

const MODELS = ["text-encoder", "one-step", "decoder"];
const SENTENCE = "a fox on a blue background";
const PAUSE = 1000; // ms without a key press, after which a screen reader hears of the picture

/** @param {HTMLElement} section */
export function mount(section) {
  new OneStep(section);
}

class OneStep {
  /** The latest request, and its time in ms: that of the key press. */
  options = { prompt: "", seed: 0 };
  requested = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  announcement = undefined;

  /** @param {HTMLElement} section */
  constructor(section) {
    this.section = section;
    this.status = statusLine();
    // A request during a run replaces the one that waits: only the latest sentence is drawn.
    this.redraw = coalesce(() => this.draw(), (error) => this.status.fail(error));
    const request = () => this.request();
    // The one-step model was trained on captions only.
    const options = { onChange: request, captionsOnly: true };
    this.prompt = new PromptBox(section.dataset.sentence ?? SENTENCE, request, options);
    this.seed = seedField(request);
    this.go = button("Draw", request, { primary: true });
    this.canvas = element("canvas", { role: "img", "aria-label": "The picture" });
    this.picture = element("div", { class: "demo-picture demo-square" }, this.canvas);
    this.picture.hidden = true;
    this.arrange();
  }

  arrange() {
    const still = this.section.querySelector("figure") ?? element("figure");
    const buttons = element("div", { class: "demo-row" }, this.go, this.prompt.randomButton);
    const controls = element("div", { class: "demo-controls" },
      this.prompt.element, buttons, this.seed.field, this.status.line);
    const stage = element("div", { class: "demo-stage" }, still, this.picture);
    this.section.classList.add("demo-text-to-image");
    this.section.prepend(element("div", { class: "demo-columns" }, controls, stage));
  }

  /** Draws the sentence, unless a word of it is unknown, as it is while a word is typed. */
  request() {
    const { sentence } = this.prompt;
    clearTimeout(this.announcement);
    if (!sentence || checkSentence(sentence).unknown.length) return;
    this.options = { prompt: sentence, seed: this.seed.input.valueAsNumber || 0 };
    this.requested = performance.now();
    this.redraw();
  }

  async draw() {
    const runtime = await this.load();
    const { options, requested } = this;
    const image = await generateInOneStep(options, runtime);
    draw(image, this.canvas);
    const milliseconds = (performance.now() - requested).toFixed(0);
    const what = `“${options.prompt}”, seed ${options.seed}`;
    this.canvas.setAttribute("aria-label", `The picture for ${what}`);
    this.show();
    this.report(`${what}: drawn ${milliseconds} ms after the key press.`);
  }

  /** Loads the models when they are first needed. */
  async load() {
    if (!this.runtime) {
      this.section.setAttribute("aria-busy", "true");
      this.runtime = await loadModels(MODELS, this.status).finally(() =>
        this.section.setAttribute("aria-busy", "false"));
      this.requested = performance.now(); // the time of a picture, without that of the download
    }
    return this.runtime;
  }

  /** Hides the still image, once there is a picture. */
  show() {
    this.picture.hidden = false;
    this.section.querySelector(".demo-stage figure")?.setAttribute("hidden", "");
  }

  /** Shows a message at once, and has it read out when the typing pauses. @param {string} message */
  report(message) {
    this.status.showQuietly(message);
    clearTimeout(this.announcement);
    this.announcement = setTimeout(() => this.status.announce(message), PAUSE);
  }
}
