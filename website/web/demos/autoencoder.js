/** Lesson 4: a picture encoded and decoded, compared with JPEG; latent channels; interpolation. */

import { CHANNELS, FACTOR, decode, encode } from "./autoencoder-models.js";
import { button, dropdown, element, formatBytes, coalesce, radioGroup, slider, startButton, statusLine } from "./controls.js";
import { changeChannels, channelPicture, encodeWithin, interpolate, packedSize, psnr, quantise } from "./codec.js";
import { loadDemoData } from "./demo-data.js";
import { loadModels } from "./models.js";
import { photoSource } from "./photo-source.js";
import { draw, loadBitmap, squareOf } from "./pictures.js";

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {"jpeg" | "channels" | "walk"} Mode */

const SIDE = 256; // pixels
const LATENT_SIDE = SIDE / FACTOR;

/** @param {HTMLElement} section */
export function mount(section) {
  startButton(section, "Start the autoencoder", open);
}

/**
 * @param {HTMLElement} section
 * @param {ReturnType<typeof statusLine>} status
 */
async function open(section, status) {
  const data = await loadDemoData();
  const runtime = await loadModels(["encoder", "decoder"], status);
  await new Autoencoder(section, data, status, runtime).start();
}

class Autoencoder {
  /** @type {Mode} */
  mode = "jpeg";
  /** @type {Float32Array | undefined} of the picture */
  latents = undefined;
  /** @type {{latents: Float32Array, picture: Picture} | undefined} the unchanged latents, decoded */
  unchanged = undefined;

  /**
   * @param {HTMLElement} section
   * @param {import("./demo-data.js").DemoData} data
   * @param {ReturnType<typeof statusLine>} status
   * @param {import("./models.js").Runtime} runtime
   */
  constructor(section, data, status, runtime) {
    this.section = section;
    this.status = status;
    this.runtime = runtime;
    this.options = pictureOptions(data);
    this.update = coalesce(() => this.compute(), (error) => status.fail(error));
    this.views = ["the picture", "through the latent", "JPEG"].map(makeView);
    this.source = photoSource({
      label: "Picture",
      options: this.options,
      initial: this.options[0][0],
      camera: false,
      onPicture: (picture) => this.usePicture(squareOf(picture, SIDE)),
      onError: (error) => status.fail(error),
    });
    this.channels = Array.from({ length: CHANNELS }, (_, index) => this.makeChannel(index));
    this.weight = slider({
      label: "Weight of the other picture", min: 0, max: 1, step: 0.05, value: 0.5,
      format: (value) => `${Math.round(100 * value)} %`, onInput: () => this.update(),
    });
    this.other = dropdown("Other picture", this.options, this.options[1][0], () => this.useOther());
    this.panels = this.makePanels();
  }

  start() {
    return this.source.start();
  }

  makePanels() {
    const reset = button("Reset", () => {
      for (const { gain, shift } of this.channels) {
        gain.set(1);
        shift.set(0);
      }
      this.update();
    });
    const channels = element("div", { class: "demo-channels" },
      ...this.channels.map(({ element }) => element), reset);
    const walk = element("div", { class: "demo-settings" }, this.other.field, this.weight.field);
    return { jpeg: element("div"), channels, walk };
  }

  /** @param {number} index */
  makeChannel(index) {
    const onInput = () => this.update();
    const canvas = element("canvas", { "aria-hidden": "true" });
    const gain = slider({
      label: `Gain of channel ${index + 1}`, min: -1, max: 3, step: 0.1, value: 1, onInput,
      format: (value) => value.toFixed(1),
    });
    const shift = slider({
      label: "Shift", min: -3, max: 3, step: 0.1, value: 0, onInput,
      format: (value) => `${value.toFixed(1)} std`,
    });
    shift.input.setAttribute("aria-label", `Shift of channel ${index + 1}`);
    const picture = element("div", { class: "demo-picture demo-square demo-latent" }, canvas);
    return { element: element("div", {}, picture, gain.field, shift.field), canvas, gain, shift };
  }

  /** Replaces the still image with the live demo. */
  show() {
    if (this.section.classList.contains("demo-live")) return;
    this.section.classList.add("demo-live");
    const modes = radioGroup("What to do with the latent", [
      ["jpeg", "store it"], ["channels", "change channels"], ["walk", "interpolate"],
    ], this.mode, (mode) => this.setMode(/** @type {Mode} */ (mode)));
    const views = element("div", { class: "demo-triple" }, ...this.views.map(({ figure }) => figure));
    const { jpeg, channels, walk } = this.panels;
    const controls = element("div", { class: "demo-bottom" }, this.source.controls,
      element("div", { class: "demo-controls" }, modes, jpeg, channels, walk));
    this.section.append(views, this.status.line, controls);
    this.setMode(this.mode);
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.mode = mode;
    for (const [name, panel] of Object.entries(this.panels)) panel.hidden = name !== mode;
    const titles = {
      jpeg: ["the picture", "through the latent", "JPEG"],
      channels: ["the picture", "the changed latent, decoded", "the latent, decoded"],
      walk: ["the picture", "interpolated latents, decoded", "interpolated pixels"],
    }[mode];
    this.views.forEach((view, index) => (view.title.textContent = titles[index]));
    if (mode === "walk" && !this.otherLatents) this.useOther();
    this.update();
  }

  /** @param {Picture} picture */
  usePicture(picture) {
    this.status.announce("");
    this.picture = picture;
    this.latents = undefined;
    this.show();
    this.update();
  }

  async useOther() {
    try {
      const name = this.other.select.value;
      this.otherPicture = squareOf(await loadBitmap(name), SIDE);
      this.otherLatents = await this.encode(this.otherPicture);
      this.update();
    } catch (error) {
      this.status.fail(error);
    }
  }

  /** @param {Picture} picture */
  encode(picture) {
    return encode(this.runtime, picture);
  }

  /** @param {Float32Array} latents */
  decode(latents) {
    return decode(this.runtime, latents, LATENT_SIDE);
  }

  async compute() {
    const { picture, mode } = this;
    if (!picture) return;
    this.views[0].show(picture, "");
    if (!this.latents) this.status.showQuietly("Encoding and decoding …");
    const latents = (this.latents ??= await this.encode(picture));
    if (mode === "jpeg") await this.store(picture, latents);
    if (mode === "channels") await this.change(picture, latents);
    if (mode === "walk") await this.walk(picture, latents);
  }

  /**
   * @param {Picture} picture
   * @param {Float32Array} latents
   */
  async store(picture, latents) {
    const quantised = quantise(latents, CHANNELS);
    const bytes = await packedSize(quantised);
    const decoded = await this.decode(quantised.values);
    this.views[1].show(decoded, `${formatBytes(bytes)}, PSNR ${formatPsnr(decoded, picture)}`);
    const canvas = draw(picture);
    const jpeg = await encodeWithin((quality) => toJpeg(canvas, quality), bytes);
    const raw = formatBytes(picture.data.length);
    if (!jpeg) {
      this.views[2].clear(`this browser's smallest JPEG is larger than ${formatBytes(bytes)}`);
      this.status.announce(`Uncompressed: ${raw}; as 8-bit latents: ${formatBytes(bytes)}.`);
      return;
    }
    const { file, quality } = jpeg;
    const reopened = squareOf(await createImageBitmap(file), SIDE);
    this.views[2].show(reopened,
      `${formatBytes(file.size)}, quality ${quality}, PSNR ${formatPsnr(reopened, picture)}`);
    this.status.announce(`Uncompressed: ${raw}; as 8-bit latents, packed: ${formatBytes(bytes)}.`);
  }

  /**
   * @param {Picture} picture
   * @param {Float32Array} latents
   */
  async change(picture, latents) {
    const changes = this.channels.map(({ gain, shift }) => (
      { gain: gain.input.valueAsNumber, shift: shift.input.valueAsNumber }));
    const changed = changeChannels(latents, changes);
    this.channels.forEach(({ canvas }, channel) => {
      draw(channelPicture(changed, channel, LATENT_SIDE), canvas);
    });
    const decoded = await this.decode(changed);
    this.views[1].show(decoded, `PSNR ${formatPsnr(decoded, picture)}`);
    const unchanged = await this.decodeUnchanged(latents);
    this.views[2].show(unchanged, `PSNR ${formatPsnr(unchanged, picture)}`);
    this.status.showQuietly("");
  }

  /**
   * @param {Picture} picture
   * @param {Float32Array} latents
   */
  async walk(picture, latents) {
    const { otherPicture, otherLatents } = this;
    if (!otherPicture || !otherLatents) return;
    const weight = this.weight.input.valueAsNumber;
    const decoded = await this.decode(interpolate(latents, otherLatents, weight));
    const mixed = { ...picture, data: interpolate(picture.data, otherPicture.data, weight) };
    this.views[1].show(decoded, "");
    this.views[2].show(mixed, `${formatPsnr(decoded, mixed)} between these two`);
    this.status.showQuietly("");
  }

  /** The unchanged latents, decoded once per picture. @param {Float32Array} latents */
  async decodeUnchanged(latents) {
    if (this.unchanged?.latents !== latents) {
      this.unchanged = { latents, picture: await this.decode(latents) };
    }
    return this.unchanged.picture;
  }
}

/** @param {import("./demo-data.js").DemoData} data @returns {[string, string][]} */
function pictureOptions({ photos, pictures }) {
  return [
    ...photos["held-out"].map((name) => /** @type {[string, string]} */ ([`photo-${name}`, name])),
    ...Object.entries(pictures).map(([name, caption]) => (
      /** @type {[string, string]} */ ([`picture-${name}`, caption]))),
  ];
}

/** @param {string} name */
function makeView(name) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const title = element("b", {}, name);
  const words = element("span");
  const picture = element("div", { class: "demo-picture demo-square" }, canvas);
  const figure = element("figure", {}, picture, element("figcaption", {}, title, element("br"), words));
  return {
    figure,
    title,
    /** @param {Picture} shown @param {string} text */
    show(shown, text) {
      canvas.hidden = false;
      draw(shown, canvas);
      words.textContent = text;
    },
    /** @param {string} text */
    clear(text) {
      canvas.hidden = true;
      words.textContent = text;
    },
  };
}

/** @param {HTMLCanvasElement} canvas @param {number} quality 0 to 100 @returns {Promise<Blob>} */
function toJpeg(canvas, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error("This browser can't write JPEG files."))),
      "image/jpeg",
      quality / 100,
    );
  });
}

/** @param {Picture} first @param {Picture} second */
function formatPsnr(first, second) {
  return `${psnr(first, second).toFixed(1)} dB`;
}
