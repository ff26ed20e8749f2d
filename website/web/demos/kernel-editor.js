/** Lesson 2: convolve a photo with any kernel, and show the products that sum to one output pixel. */

import { dropdown, element, radioGroup, statusLine } from "./controls.js";
import {
  colourIndex,
  colourLimit,
  colourResponse,
  convolve,
  divergingColours,
  formatNumber,
  isSigned,
  resizeKernel,
  windowAt,
} from "./convolution.js";
import { loadDemoData } from "./demo-data.js";
import { photoSource } from "./photo-source.js";
import { draw, drawPixels, squareOf, toGrey } from "./pictures.js";

const SIDE = 256; // pixels of the photo
const PRESET = "vertical edges (Sobel)";
const CUSTOM = "your own";
const START = { row: 98, column: 94 }; // an edge in the first photo

/** @param {HTMLElement} section */
export function mount(section) {
  const status = statusLine();
  section.append(status.line);
  loadDemoData()
    .then((data) => new KernelEditor(section, data, status))
    .catch((error) => status.fail(error));
}

class KernelEditor {
  /**
   * @param {HTMLElement} section
   * @param {import("./demo-data.js").DemoData} data
   * @param {ReturnType<typeof statusLine>} status
   */
  constructor(section, data, status) {
    this.section = section;
    this.status = status;
    this.presets = data.kernels;
    this.kernel = data.kernels[PRESET];
    this.colours = divergingColours(data.colours.below, data.colours.above);
    /** @type {import("./pictures.js").Picture | undefined} */
    this.photo = undefined;
    this.cursor = START;
    this.pictures = this.makePictures();
    this.grid = element("div", { class: "demo-kernel", role: "group", "aria-label": "Kernel" });
    this.sum = element("div", { class: "demo-sum" });
    this.scale = element("p", { class: "demo-note" });
    const names = [...Object.keys(this.presets), CUSTOM];
    this.preset = dropdown("Kernel", names, PRESET, (name) => this.usePreset(name));
    this.size = radioGroup("Size", [["3", "3 × 3"], ["5", "5 × 5"]], "3", (side) => {
      this.setKernel(resizeKernel(this.kernel, Number(side)));
    });
    const options = data.photos.small.map((name) => /** @type {const} */ ([`photo-${name}`, name]));
    this.source = photoSource({
      options,
      initial: "photo-camera",
      camera: true,
      onPicture: (picture) => this.usePicture(picture),
      onError: (error) => status.fail(error),
    });
    this.setKernel(this.kernel);
    this.source.start();
  }

  makePictures() {
    const input = element("canvas", { "aria-hidden": "true" });
    const output = element("canvas", { "aria-hidden": "true" });
    const frame = element("span", { class: "demo-frame" });
    const mark = element("span", { class: "demo-frame demo-mark" });
    const label = "The photo below the kernel. Arrow keys move the kernel, with Shift ten pixels.";
    const stage = element(
      "div",
      { class: "demo-picture", tabindex: 0, role: "application", "aria-label": label },
      input,
      frame,
    );
    stage.addEventListener("keydown", (event) => this.onKey(event));
    const response = element("div", { class: "demo-picture" }, output, mark);
    for (const [part, canvas] of /** @type {const} */ ([[stage, input], [response, output]])) {
      part.addEventListener("pointermove", (event) => this.onPointer(event, canvas));
      part.addEventListener("pointerdown", (event) => this.onPointer(event, canvas));
    }
    return { input, output, frame, mark, stage, response };
  }

  /** Replaces the still image with the live demo. */
  show() {
    if (this.section.classList.contains("demo-live")) return;
    const { stage, response } = this.pictures;
    const hint = element("p", { class: "demo-note" },
      "Point at a picture, or move over the photo with the arrow keys: below is the sum of one pixel.");
    const views = element("div", { class: "demo-pair" },
      element("figure", {}, stage, element("figcaption", {}, "the photo")),
      element("figure", {}, response, element("figcaption", {}, "the response")),
    );
    const controls = element("div", { class: "demo-controls" },
      this.preset.field, this.size, this.grid, this.source.controls);
    const left = element("div", { class: "demo-main" }, views, this.scale, hint, this.sum, this.status.line);
    this.section.classList.add("demo-live");
    this.section.append(element("div", { class: "demo-columns" }, left, controls));
  }

  /** @param {import("./photo-source.js").Source} picture */
  usePicture(picture) {
    this.status.announce("");
    this.photo = toGrey(squareOf(picture, SIDE));
    this.show();
    draw(this.photo, this.pictures.input);
    this.update();
  }

  /** @param {string} name */
  usePreset(name) {
    if (name !== CUSTOM) this.setKernel(resizeKernel(this.presets[name], this.kernel.length));
  }

  /** @param {import("./convolution.js").Kernel} kernel */
  setKernel(kernel) {
    this.kernel = kernel.map((row) => [...row]);
    this.grid.style.setProperty("--side", String(kernel.length));
    this.grid.replaceChildren(
      ...kernel.flatMap((weights, row) =>
        weights.map((weight, column) => this.weightInput(weight, row, column)),
      ),
    );
    this.update();
  }

  /**
   * @param {number} weight
   * @param {number} row
   * @param {number} column
   */
  weightInput(weight, row, column) {
    const input = element("input", {
      type: "number",
      class: "demo-input",
      step: 0.5,
      "aria-label": `weight in row ${row + 1}, column ${column + 1}`,
      value: Number(weight.toFixed(4)),
    });
    input.addEventListener("input", () => {
      this.kernel[row][column] = Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : 0;
      this.preset.select.value = CUSTOM;
      this.update();
    });
    return input;
  }

  update() {
    if (!this.photo) return;
    const { output } = this.pictures;
    this.response = convolve(this.photo, this.kernel);
    const { width, height } = this.response;
    this.scale.textContent = isSigned(this.kernel)
      ? "The response: orange below zero, white at zero, blue above."
      : "The response: 0 is black, 1 is white.";
    drawPixels(colourResponse(this.response, this.kernel, this.colours), width, height, output);
    this.moveTo(this.cursor.row, this.cursor.column);
  }

  /**
   * @param {number} row of the output pixel, clamped
   * @param {number} column
   */
  moveTo(row, column) {
    if (!this.photo || !this.response) return;
    const { height, width } = this.response;
    this.cursor = { row: clamp(row, height - 1), column: clamp(column, width - 1) };
    const { frame, mark } = this.pictures;
    place(frame, this.cursor, this.kernel.length, this.photo);
    place(mark, this.cursor, 1, this.response);
    this.showSum();
  }

  showSum() {
    if (!this.photo || !this.response) return;
    const { row, column } = this.cursor;
    const pixels = windowAt(this.photo, this.kernel.length, row, column);
    const limit = Math.max(colourLimit(this.kernel), 0.01);
    const cells = pixels.flatMap((values, i) =>
      values.map((value, j) => this.term(value, this.kernel[i][j], limit)),
    );
    const total = this.response.data[row * this.response.width + column];
    const table = element("div", { class: "demo-terms", "aria-hidden": "true" }, ...cells);
    table.style.setProperty("--side", String(this.kernel.length));
    const text = element("p", { class: "demo-total", role: "status" },
      `Row ${row}, column ${column}: the sum of the ${cells.length} products is ${formatNumber(total)}.`);
    this.sum.replaceChildren(table, text);
  }

  /**
   * @param {number} value of the pixel
   * @param {number} weight
   * @param {number} limit of the colours
   */
  term(value, weight, limit) {
    const cell = element("span", {}, value.toFixed(2), element("b", {}, ` × ${formatNumber(weight)}`));
    // Half of the colour range: on the darkest colours the text would be illegible.
    const at = colourIndex((0.5 * value * weight) / limit) * 3;
    const [red, green, blue] = this.colours.subarray(at, at + 3);
    cell.style.background = `rgb(${red}, ${green}, ${blue})`;
    return cell;
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLCanvasElement} canvas
   */
  onPointer(event, canvas) {
    const box = canvas.getBoundingClientRect();
    const shift = canvas === this.pictures.input ? (this.kernel.length - 1) / 2 : 0;
    const at = (/** @type {number} */ fraction, /** @type {number} */ side) =>
      Math.floor(fraction * side) - shift;
    this.moveTo(
      at((event.clientY - box.top) / box.height, canvas.height),
      at((event.clientX - box.left) / box.width, canvas.width),
    );
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    if (!move) return;
    event.preventDefault();
    this.moveTo(this.cursor.row + step * move[0], this.cursor.column + step * move[1]);
  }
}

/**
 * @param {HTMLElement} frame
 * @param {{row: number, column: number}} corner in pixels
 * @param {number} side in pixels
 * @param {{height: number, width: number}} picture
 */
function place(frame, { row, column }, side, { height, width }) {
  frame.style.left = `${(100 * column) / width}%`;
  frame.style.top = `${(100 * row) / height}%`;
  frame.style.width = `${(100 * side) / width}%`;
  frame.style.height = `${(100 * side) / height}%`;
}

/** @param {number} value @param {number} last */
function clamp(value, last) {
  return Math.min(Math.max(value, 0), last);
}
