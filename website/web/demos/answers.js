/** Shows a network's prediction for a scene: boxes, masks and labels over the image, and as text. */

import { parseColour } from "./convolution.js";
import { element } from "./controls.js";
import { context } from "./pictures.js";
import { detections, groupPixels, labelPosition, largest, semanticMap } from "./vision.js";

/**
 * @typedef {import("./vision.js").VisionData} VisionData
 * @typedef {import("./vision.js").Tensor} Tensor
 * @typedef {Record<string, Tensor>} Outputs
 * @typedef {{objects: string[], classes: string[]}} Colours
 */

const MASK_OPACITY = 0.72;
const MIN_LABEL_PIXELS = 25; // a class with fewer pixels in level 4 gets no label

/** A tile with one network's prediction. */
export class Answer {
  /**
   * @param {string} name of the network
   * @param {VisionData} vision
   * @param {Colours} colours
   */
  constructor(name, vision, colours) {
    this.name = name;
    this.vision = vision;
    this.colours = colours;
    const { size, levels } = vision;
    const [level, question] = levels[name];
    this.canvas = element("canvas", { width: size, height: size, "aria-hidden": "true" });
    this.marks = element("div", { class: "demo-marks", "aria-hidden": "true" });
    this.words = element("p", { class: "demo-words" });
    this.element = element("figure", { class: "demo-answer" },
      element("figcaption", {}, element("b", {}, `${level} · ${name}`), ` ${question}`),
      element("div", { class: "demo-picture demo-square" }, this.canvas, this.marks),
      this.words);
  }

  /**
   * @param {Outputs} outputs of the network
   * @param {HTMLCanvasElement} scene the network's input image
   */
  show(outputs, scene) {
    this.marks.replaceChildren();
    const ctx = context(this.canvas);
    const faded = this.name === "segmenter" || this.name === "instances";
    ctx.drawImage(scene, 0, 0);
    if (faded) {
      ctx.fillStyle = "rgba(128, 128, 128, 0.6)";
      ctx.fillRect(0, 0, this.vision.size, this.vision.size);
    }
    this.words.textContent = this.draw(outputs) || "nothing found";
  }

  /** Draws the prediction and returns it as text. @param {Outputs} outputs */
  draw(outputs) {
    const { classes, shown, detector, instances } = this.vision;
    if (this.name === "classifier") {
      const { label, score } = largest(outputs.probabilities.data);
      return `${classes[label]} ${percent(score)}`;
    }
    if (this.name === "localizer") {
      const { label, score } = largest(outputs.probabilities.data);
      this.drawBox(outputs.box.data, this.colours.objects[0], classes[label]);
      return `${classes[label]} ${percent(score)}`;
    }
    if (this.name === "segmenter") return this.drawSemantic(semanticMap(outputs.probabilities));
    const found =
      this.name === "detector"
        ? detections(outputs.scores, outputs.boxes, detector)
        : groupPixels(/** @type {any} */ (outputs), instances);
    const kept = found.filter(({ score }) => score >= shown);
    kept.forEach((object, index) => {
      const colour = this.colours.objects[index % this.colours.objects.length];
      if ("box" in object) this.drawBox(object.box, colour, classes[object.label]);
      else this.drawMask(object.mask, colour, classes[object.label]);
    });
    return kept.map(({ label, score }) => `${classes[label]} ${percent(score)}`).join(", ");
  }

  /** @param {Uint8Array} map */
  drawSemantic(map) {
    const { classes } = this.vision;
    const fractions = [];
    const counts = new Uint32Array(classes.length + 1);
    for (const value of map) counts[value] += 1;
    for (const [value, pixels] of counts.entries()) {
      if (!value || !pixels) continue; // background, or absent
      const mask = map.map((pixel) => Number(pixel === value));
      const name = classes[value - 1];
      this.drawMask(mask, this.colours.classes[value], pixels < MIN_LABEL_PIXELS ? "" : name);
      fractions.push(`${name} ${percent(pixels / map.length)}`);
    }
    return fractions.length ? `of the pixels: ${fractions.join(", ")}` : "";
  }

  /**
   * @param {ArrayLike<number>} box in pixels
   * @param {string} colour
   * @param {string} text
   */
  drawBox(box, colour, text) {
    const [x0, y0, x1, y1] = Array.from(box, (value) => (100 * value) / this.vision.size);
    const mark = element("span", { class: "demo-box" });
    Object.assign(mark.style, {
      left: `${x0}%`, top: `${y0}%`, width: `${x1 - x0}%`, height: `${y1 - y0}%`, borderColor: colour,
    });
    this.marks.append(mark);
    this.drawLabel(text, colour, Math.max(x0, 0), Math.max(y0, 0), y0 > 12 ? "above" : "below");
  }

  /**
   * @param {Uint8Array} mask
   * @param {string} colour
   * @param {string} text
   */
  drawMask(mask, colour, text) {
    const { size } = this.vision;
    const ctx = context(this.canvas);
    const image = ctx.getImageData(0, 0, size, size);
    const rgb = parseColour(colour);
    for (let pixel = 0; pixel < mask.length; pixel++) {
      if (!mask[pixel]) continue;
      const edge = isEdge(mask, pixel, size);
      for (let channel = 0; channel < 3; channel++) {
        const at = 4 * pixel + channel;
        image.data[at] += (edge ? 1 : MASK_OPACITY) * (rgb[channel] - image.data[at]);
      }
    }
    ctx.putImageData(image, 0, 0);
    const { x, y } = labelPosition(mask, size);
    if (text) this.drawLabel(text, colour, (100 * x) / size, (100 * y) / size, "middle");
  }

  /**
   * @param {string} text
   * @param {string} colour
   * @param {number} x in percent
   * @param {number} y
   * @param {"above" | "below" | "middle"} place
   */
  drawLabel(text, colour, x, y, place) {
    const [red, green, blue] = parseColour(colour);
    const label = element("span", { class: `demo-tag demo-tag-${place}` }, text);
    const light = 0.299 * red + 0.587 * green + 0.114 * blue > 127;
    Object.assign(label.style, { background: colour, color: light ? "#1b1f24" : "#fff", top: `${y}%` });
    // A label near the right border is aligned to that border, so that it stays inside the tile.
    if (place !== "middle" && x > 55) label.style.right = "0";
    else label.style.left = `${x}%`;
    this.marks.append(label);
  }
}

/** @param {Uint8Array} mask @param {number} pixel @param {number} width */
function isEdge(mask, pixel, width) {
  return [pixel - 1, pixel + 1, pixel - width, pixel + width].some((next) => !mask[next]);
}

/** @param {number} fraction */
function percent(fraction) {
  return `${Math.round(100 * fraction)}\u00a0%`;
}
