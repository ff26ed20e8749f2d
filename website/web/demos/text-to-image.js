/** Front page, lessons 6 and 7: generate a picture from a sentence, step by step. */

import { countTokens, generate, wordsOf } from "../diffusion/pipeline.js";
import { makeGif } from "./animation.js";
import { decode } from "./autoencoder-models.js";
import { button, dropdown, download, element, seedField, slider, statusLine } from "./controls.js";
import { loadDemoData } from "./demo-data.js";
import { loadModels } from "./models.js";
import { draw } from "./pictures.js";
import { loadPreview, previewLatents } from "./preview.js";
import { PromptBox } from "./prompt-box.js";
import { Trajectory } from "./trajectory.js";

const MODELS = ["text-encoder", "unet", "decoder"];
const SENTENCE = "a fox on a blue background";
const LATENT_SIDE = 16;

/** @param {HTMLElement} section */
export function mount(section) {
  const status = statusLine();
  section.append(status.line);
  loadDemoData()
    .then((data) => new TextToImage(section, data.textToImage, status))
    .catch((error) => status.fail(error));
}

class TextToImage {
  /**
   * @param {HTMLElement} section
   * @param {import("./demo-data.js").DemoData["textToImage"]} defaults
   * @param {ReturnType<typeof statusLine>} status
   */
  constructor(section, defaults, status) {
    this.section = section;
    this.status = status;
    this.cancelled = false;
    this.running = false;
    /** @type {Float32Array} */
    this.previewWeights = new Float32Array();
    this.prompt = new PromptBox(section.dataset.sentence ?? SENTENCE, () => this.run());
    this.trajectory = new Trajectory({
      preview: (latents) => previewLatents(this.previewWeights, latents),
      decode: (latents) => this.decode(latents),
      onError: (error) => status.fail(error),
    });
    this.settings = makeSettings(defaults);
    this.go = button("Generate", () => this.run(), { primary: true });
    this.stop = button("Cancel", () => this.cancel());
    this.stop.hidden = true;
    this.after = element("div", { class: "demo-after" });
    this.after.hidden = true;
    this.arrange();
  }

  arrange() {
    const still = this.section.querySelector("figure") ?? element("figure");
    const { picture, controls } = this.trajectory;
    picture.hidden = true;
    // On a phone the sentence comes first, then the picture, then the settings.
    const buttons = element("div", { class: "demo-row" }, this.go, this.stop, this.prompt.randomButton);
    const top = element("div", { class: "demo-controls" },
      this.prompt.element, buttons, this.status.line);
    const stage = element("div", { class: "demo-stage" }, still, picture, controls);
    const { seed, steps, guidance, sampler } = this.settings;
    const settings = element("div", { class: "demo-settings" },
      steps.field, guidance.field, seed.field, sampler.field);
    const below = element("div", { class: "demo-controls" }, this.after, settings);
    this.section.classList.add("demo-text-to-image");
    this.section.prepend(element("div", { class: "demo-columns" }, top, stage, below));
  }

  async run() {
    if (this.running) return;
    const { prompt } = this;
    const { seed, steps, guidance, sampler } = this.settings;
    const options = {
      prompt: prompt.sentence,
      seed: seed.input.valueAsNumber || 0,
      steps: steps.input.valueAsNumber,
      guidance: guidance.input.valueAsNumber,
      sampler: sampler.select.value,
    };
    this.setRunning(true);
    try {
      this.status.progress("Loading the models", 0);
      const [runtime, weights] = await Promise.all([loadModels(MODELS, this.status), loadPreview()]);
      this.runtime = runtime;
      this.previewWeights = weights;
      if (!this.cancelled) await this.draw(options, runtime);
      if (this.cancelled) this.status.announce("Cancelled.");
    } catch (error) {
      this.status.fail(error);
    } finally {
      this.setRunning(false);
    }
  }

  /**
   * @param {import("../diffusion/pipeline.js").Options} options
   * @param {import("./models.js").Runtime} runtime
   */
  async draw(options, runtime) {
    const start = performance.now();
    this.trajectory.clear();
    for await (const event of generate(options, runtime)) {
      if (this.cancelled) return;
      if ("image" in event) {
        this.finish(event.image, options, (performance.now() - start) / 1000);
      } else {
        this.trajectory.add(event);
        this.showPicture();
        this.status.progress(`Step ${event.step + 1} of ${event.steps}`, (event.step + 1) / event.steps);
      }
    }
  }

  /** Hides the still image, once the first picture can be shown. */
  showPicture() {
    this.trajectory.picture.hidden = false;
    this.section.querySelector(".demo-stage figure")?.setAttribute("hidden", "");
  }

  /**
   * @param {import("./pictures.js").Picture} image
   * @param {import("../diffusion/pipeline.js").Options} options
   * @param {number} seconds
   */
  finish(image, options, seconds) {
    this.showPicture();
    this.trajectory.finish(image, `The picture for “${options.prompt}”`);
    this.status.announce(`“${options.prompt}”: ${options.steps} steps in ${seconds.toFixed(1)} s.`);
    const name = `${options.prompt.replace(/[^\p{L}\p{N}]+/gu, "-")}-${options.seed}`;
    this.after.replaceChildren(
      ...this.words(options.prompt),
      element("div", { class: "demo-row" },
        button("Save PNG", () => this.savePng(image, name)),
        button("Save animation (GIF)", () => this.saveGif(name))),
    );
    this.after.hidden = false;
  }

  /** Buttons that show the attention of a word or of the end tokens. @param {string} prompt */
  words(prompt) {
    const words = wordsOf(prompt);
    const [last = 0] = words.flatMap(({ tokens }) => tokens).slice(-1);
    const rest = Array.from({ length: countTokens() - 1 - last }, (_, index) => last + 1 + index);
    const chips = [...words, { word: "end tokens", tokens: rest }].map(({ word, tokens }) => {
      const chip = button(word, () => {
        const chosen = chip.getAttribute("aria-pressed") === "true";
        for (const other of chips) other.setAttribute("aria-pressed", "false");
        chip.setAttribute("aria-pressed", String(!chosen));
        this.trajectory.showAttention(chosen ? [] : tokens);
        this.status.announce(chosen ? "" : this.describeAttention(word, tokens));
      }, { "aria-pressed": "false", class: "demo-chip" });
      return chip;
    });
    const group = element("div", { class: "demo-row", role: "group" }, ...chips);
    group.setAttribute("aria-label", "Which word looks where");
    return [element("p", { class: "demo-note" }, "Which word looks where? Choose one:"), group];
  }

  /** @param {string} word @param {readonly number[]} tokens */
  describeAttention(word, tokens) {
    const map = this.trajectory.attention() ?? new Float32Array(1);
    const share = map.reduce((sum, weight) => sum + weight, 0) / map.length;
    const equalShare = tokens.length / countTokens();
    return `“${word}” has ${percent(share)} of the attention (an equal share is ${percent(equalShare)}). ` +
      "The picture is clear where its weight is highest.";
  }

  /** @param {Float32Array} latents @returns {Promise<import("./pictures.js").Picture>} */
  async decode(latents) {
    if (!this.runtime) throw new Error("The decoder is not loaded yet: press Generate first.");
    return decode(this.runtime, latents, LATENT_SIDE);
  }

  cancel() {
    this.cancelled = true;
    this.status.announce("Cancelling after this step.");
  }

  /** @param {boolean} running */
  setRunning(running) {
    this.running = running;
    this.cancelled = false;
    this.go.disabled = running;
    this.stop.hidden = !running;
    if (running) this.after.hidden = true;
    this.section.setAttribute("aria-busy", String(running));
  }

  /** @param {import("./pictures.js").Picture} image @param {string} name */
  savePng(image, name) {
    draw(image).toBlob((blob) => blob && download(blob, `${name}.png`), "image/png");
  }

  /** @param {string} name */
  async saveGif(name) {
    try {
      const frames = await this.trajectory.frames((fraction) =>
        this.status.progress("Decoding the steps for the animation", fraction));
      const gif = makeGif(frames);
      download(new Blob([/** @type {BlobPart} */ (gif)], { type: "image/gif" }), `${name}.gif`);
      this.status.announce("The animation is saved.");
    } catch (error) {
      this.status.fail(error);
    }
  }
}

/** @param {number} fraction */
function percent(fraction) {
  return `${(100 * fraction).toFixed(0)}\u00a0%`;
}

/** @param {import("./demo-data.js").DemoData["textToImage"]} defaults */
function makeSettings({ steps, guidance, sampler }) {
  return {
    seed: seedField(),
    steps: slider({ label: "Steps", min: 1, max: 50, value: steps }),
    guidance: slider({
      label: "Guidance", min: 1, max: 12, step: 0.5, value: guidance,
      format: (value) => (value === 1 ? "1 (none)" : String(value)),
    }),
    sampler: dropdown("Sampler", [["dpm++", "DPM-Solver++"], ["ddim", "DDIM"]], sampler, () => {}),
  };
}
