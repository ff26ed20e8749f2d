/** Lesson 6: add noise to the pixels and to the latent at any timestep. */

import { gaussian } from "../diffusion/noise.js";
import { NoiseSchedule } from "../diffusion/schedule.js";
import { CHANNELS, FACTOR, decode, encode } from "./autoencoder-models.js";
import { button, dropdown, element, coalesce, slider, statusLine } from "./controls.js";
import { channelPicture } from "./codec.js";
import { loadDemoData } from "./demo-data.js";
import { loadModels } from "./models.js";
import { draw, loadBitmap, squareOf } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */

const SIDE = 128; // pixels
const LATENT_SIDE = SIDE / FACTOR;
const INITIAL_TIME = 300;

/** @param {HTMLElement} section */
export function mount(section) {
  const status = statusLine();
  section.append(status.line);
  loadDemoData()
    .then((data) => new Noise(section, data, status))
    .catch((error) => status.fail(error));
}

class Noise {
  /** @type {Float32Array | undefined} of the picture */
  latents = undefined;

  /**
   * @param {HTMLElement} section
   * @param {import("./demo-data.js").DemoData} data
   * @param {ReturnType<typeof statusLine>} status
   */
  constructor(section, { noise, pictures }, status) {
    this.section = section;
    this.status = status;
    this.schedule = new NoiseSchedule(noise.schedule);
    // The noise is fixed: the timestep only changes its weight.
    this.pixelNoise = gaussian(3 * SIDE * SIDE, 0);
    this.latentNoise = gaussian(CHANNELS * LATENT_SIDE * LATENT_SIDE, 1);
    const names = Object.entries(pictures).map(([name, caption]) => (
      /** @type {[string, string]} */ ([`picture-${name}`, caption])));
    this.list = dropdown("Picture", names, names[0][0], () => this.load());
    this.time = slider({
      label: "Time t", min: 0, max: noise.schedule.num_train_timesteps - 1, value: INITIAL_TIME,
      onInput: () => this.update(),
    });
    this.canvases = Array.from({ length: 3 }, () => element("canvas", { "aria-hidden": "true" }));
    this.numbers = element("p", { class: "demo-total", role: "status" });
    this.signal = element("span", { class: "demo-signal" });
    this.opener = button("Noise in the latent too", () => this.open(), { primary: true });
    this.decodeLatent = coalesce(() => this.showLatent(), (error) => status.fail(error));
    this.load();
  }

  async load() {
    try {
      this.picture = squareOf(await loadBitmap(this.list.select.value), SIDE);
      this.latents = undefined;
      this.show();
      this.update();
    } catch (error) {
      this.status.fail(error);
    }
  }

  /** Replaces the still image with the live demo. */
  show() {
    if (this.section.classList.contains("demo-live")) return;
    this.section.classList.add("demo-live");
    const captions = ["pixels with noise", "latent with noise", "the latent, decoded"];
    this.figures = captions.map((caption, index) => element("figure", {},
      element("div", { class: "demo-picture demo-square" }, this.canvases[index]),
      element("figcaption", {}, caption)));
    this.figures[1].hidden = this.figures[2].hidden = true;
    const bar = element("div", { class: "demo-bar", "aria-hidden": "true" }, this.signal, "noise²");
    this.place = element("div", { class: "demo-place" }, this.opener);
    this.section.append(
      element("div", { class: "demo-triple" }, ...this.figures, this.place),
      bar, this.numbers, this.status.line,
      element("div", { class: "demo-settings" }, this.time.field, this.list.field));
  }

  async open() {
    this.opener.disabled = true;
    try {
      this.runtime = await loadModels(["encoder", "decoder"], this.status);
      this.status.announce("");
      this.place?.remove();
      for (const figure of this.figures ?? []) figure.hidden = false;
      this.decodeLatent();
    } catch (error) {
      this.status.fail(error);
      this.opener.disabled = false;
    }
  }

  update() {
    if (!this.picture) return;
    const { alpha, sigma } = this.levels();
    // Pixels scaled to [-1, 1], as in a diffusion model on pixels.
    const noisy = this.picture.data.map(
      (value, i) => (alpha * (2 * value - 1) + sigma * this.pixelNoise[i]) / 2 + 0.5);
    draw({ ...this.picture, data: noisy }, this.canvases[0]);
    const signal = alpha ** 2;
    this.signal.style.width = `${100 * signal}%`;
    this.signal.textContent = signal > 0.12 ? "signal²" : "";
    const snr = signal / sigma ** 2;
    this.numbers.textContent =
      `α ${alpha.toFixed(3)}, σ ${sigma.toFixed(3)}; α² + σ² = ${signal.toFixed(3)} + ` +
      `${(sigma ** 2).toFixed(3)} = 1; signal-to-noise ratio ${formatRatio(snr)} ` +
      `(${(10 * Math.log10(snr)).toFixed(1)} dB).`;
    if (this.runtime) this.decodeLatent();
  }

  /** alpha and sigma, the factors of signal and noise, at the chosen timestep. */
  levels() {
    const alphaBar = this.schedule.alphasCumprod[this.time.input.valueAsNumber];
    return { alpha: Math.sqrt(alphaBar), sigma: Math.sqrt(1 - alphaBar) };
  }

  async showLatent() {
    const { runtime, picture } = this;
    if (!runtime || !picture) return;
    /** @type {Float32Array} */
    const latents = (this.latents ??= await encode(runtime, picture));
    const { alpha, sigma } = this.levels();
    const noisy = latents.map((value, i) => alpha * value + sigma * this.latentNoise[i]);
    draw(tileChannels(noisy), this.canvases[1]);
    draw(await decode(runtime, noisy, LATENT_SIDE), this.canvases[2]);
  }
}

/** The four channels as a 2 x 2 grid. @param {Float32Array} latents @returns {Picture} */
function tileChannels(latents) {
  const side = 2 * LATENT_SIDE;
  const data = new Float32Array(side * side);
  for (let channel = 0; channel < CHANNELS; channel++) {
    const { data: part } = channelPicture(latents, channel, LATENT_SIDE);
    const corner = Math.floor(channel / 2) * LATENT_SIDE * side + (channel % 2) * LATENT_SIDE;
    for (let row = 0; row < LATENT_SIDE; row++) {
      data.set(part.subarray(row * LATENT_SIDE, (row + 1) * LATENT_SIDE), corner + row * side);
    }
  }
  return { data, channels: 1, height: side, width: side };
}

/** @param {number} ratio */
function formatRatio(ratio) {
  return ratio >= 1 ? `${ratio.toPrecision(3)} : 1` : `1 : ${(1 / ratio).toPrecision(3)}`;
}
