/**
 * The denoising steps of one run: shown as they arrive, scrubbed afterwards, with attention maps.
 *
 * @typedef {import("./pictures.js").Picture} Picture
 * @typedef {{t: number, latents: Float32Array, x0: Float32Array, attention: Float32Array}} Step
 * @typedef {"x0" | "latents"} View what a step shows: the predicted picture, or the noisy latents
 */

import { drawFog, meanAttention } from "./attention.js";
import { button, element, coalesce, radioGroup, prefersReducedMotion, slider } from "./controls.js";
import { draw } from "./pictures.js";

const FRAME_MS = 120; // per step of the playback

export class Trajectory {
  /** @type {Step[]} */
  steps = [];
  /** @type {View} */
  view = "x0";
  /** @type {readonly number[]} the tokens whose attention map is shown */
  tokens = [];
  /** @type {Map<string, Picture>} decoded pictures by view and step */
  decoded = new Map();
  playing = 0;

  /**
   * @param {{
   *   preview: (latents: Float32Array) => Picture,
   *   decode: (latents: Float32Array) => Promise<Picture>,
   *   onError: (error: unknown) => void,
   * }} options
   */
  constructor({ preview, decode, onError }) {
    this.preview = preview;
    this.decode = decode;
    this.canvas = element("canvas", { role: "img", "aria-label": "The picture" });
    this.fog = element("canvas", { class: "demo-fog", "aria-hidden": "true" });
    this.picture = element("div", { class: "demo-picture demo-square" }, this.canvas, this.fog);
    this.scrubber = slider({
      label: "Step",
      min: 1,
      max: 1,
      value: 1,
      format: (step) => (step > this.steps.length ? "the picture" : `${step} of ${this.steps.length}`),
      onInput: () => this.show(),
    });
    this.play = button("Play", () => (this.playing ? this.stop() : this.start()));
    const views = radioGroup("Show", [["x0", "predicted picture"], ["latents", "noisy latents"]],
      "x0", (view) => {
        this.view = /** @type {View} */ (view);
        this.show();
      });
    this.controls = element("div", { class: "demo-scrubber" },
      element("div", { class: "demo-row" }, this.play, this.scrubber.field), views);
    this.controls.hidden = true;
    this.refine = coalesce(() => this.drawDecoded(), onError);
  }

  /** Removes all steps before a new run; the last picture stays visible until the first step. */
  clear() {
    this.stop();
    this.steps = [];
    this.decoded.clear();
    this.image = undefined;
    this.tokens = [];
    this.controls.hidden = true;
    drawFog(this.fog, undefined);
  }

  /** Adds a step and shows its preview. @param {Step} step */
  add(step) {
    this.steps.push(step);
    if (!prefersReducedMotion()) draw(this.preview(step[this.view]), this.canvas);
  }

  /** Adds the final picture and shows the controls. @param {Picture} image @param {string} description */
  finish(image, description) {
    this.image = image;
    this.canvas.setAttribute("aria-label", description);
    this.scrubber.input.max = String(this.steps.length + 1);
    this.scrubber.set(this.steps.length + 1);
    this.controls.hidden = false;
    this.show();
  }

  /** The index of the shown step, or the number of steps for the finished picture. */
  get index() {
    return this.scrubber.input.valueAsNumber - 1;
  }

  show() {
    if (!this.image) return;
    const step = this.steps[this.index];
    const ready = step ? this.decoded.get(this.key(this.index)) : this.image;
    draw(ready ?? this.preview(step[this.view]), this.canvas);
    drawFog(this.fog, this.attention());
    if (!ready && !this.playing) this.refine();
  }

  /** @param {readonly number[]} tokens whose attention map to show; an empty list hides the map */
  showAttention(tokens) {
    this.tokens = tokens;
    this.show();
  }

  /** The attention map of the shown step; for the finished picture the mean over all steps. */
  attention() {
    if (!this.tokens.length) return undefined;
    const step = this.steps[this.index];
    const maps = (step ? [step] : this.steps).map(({ attention }) => attention);
    return meanAttention(maps, this.tokens);
  }

  /** @param {number} index */
  key(index) {
    return `${this.view} ${index}`;
  }

  /** Replaces the preview of the shown step with its decoded picture. */
  async drawDecoded() {
    const { index, view } = this;
    const step = this.steps[index];
    if (!step) return;
    await this.decodeStep(index);
    if (index === this.index && view === this.view) this.show();
  }

  /** @param {number} index @returns {Promise<Picture>} */
  async decodeStep(index) {
    const key = this.key(index);
    const { decoded } = this;
    const ready = decoded.get(key) ?? (await this.decode(this.steps[index][this.view]));
    decoded.set(key, ready);
    return ready;
  }

  /**
   * The decoded pictures of all steps, then the finished picture.
   *
   * @param {(fraction: number) => void} onProgress in [0, 1]
   */
  async frames(onProgress) {
    const { image, steps } = this;
    const frames = [];
    for (const index of steps.keys()) {
      frames.push(await this.decodeStep(index));
      onProgress((index + 1) / steps.length);
    }
    if (!image) throw new Error("There is no picture yet: press Generate first.");
    return [...frames, image];
  }

  start() {
    this.play.textContent = "Pause";
    if (this.index >= this.steps.length) this.scrubber.set(1);
    this.playing = window.setInterval(() => {
      if (this.index >= this.steps.length) return this.stop();
      this.scrubber.set(this.index + 2);
      this.show();
    }, FRAME_MS);
    this.show();
  }

  stop() {
    clearInterval(this.playing);
    this.playing = 0;
    this.play.textContent = "Play";
    this.show();
  }
}
