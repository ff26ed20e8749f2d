/** Lesson 3: a scene editor, and the predictions of the five networks for the current scene. */

import { Answer } from "./answers.js";
import { button, dropdown, element, coalesce, slider, startButton, statusLine } from "./controls.js";
import { loadDemoData } from "./demo-data.js";
import { loadModels } from "./models.js";
import { photoSource } from "./photo-source.js";
import { draw, fromPixels, context, loadBitmap, squareOf } from "./pictures.js";
import { SceneBoard } from "./scene-board.js";
import { LIMITS, drawScene } from "./scene.js";

const PHOTO_SIDE = 384; // pixels
const TILE = 128; // side of a sprite in pixels
const MODELS = ["classifier", "localizer", "detector", "segmenter", "instances"];

/** @param {HTMLElement} section */
export function mount(section) {
  startButton(section, "Start the five networks", open);
}

/**
 * @param {HTMLElement} section
 * @param {ReturnType<typeof statusLine>} status
 */
async function open(section, status) {
  const data = await loadDemoData();
  const [runtime, image] = await Promise.all([loadModels(MODELS, status), loadBitmap("sprites")]);
  await new FiveLevels(section, data, status, runtime, image).start();
}

class FiveLevels {
  /**
   * @param {HTMLElement} section
   * @param {import("./demo-data.js").DemoData} data
   * @param {ReturnType<typeof statusLine>} status
   * @param {import("./models.js").Runtime} runtime
   * @param {ImageBitmap} image the sprite sheet
   */
  constructor(section, { vision, colours, photos }, status, runtime, image) {
    this.section = section;
    this.vision = vision;
    this.status = status;
    this.runtime = runtime;
    this.sheet = {
      image, tile: TILE, names: vision.sprites, styles: [...vision.styles, ...vision.heldOutStyles],
    };
    this.background = element("canvas", { width: PHOTO_SIDE, height: PHOTO_SIDE });
    this.input = element("canvas", { width: vision.size, height: vision.size });
    this.answers = MODELS.map((name) => new Answer(name, vision, colours));
    this.predict = coalesce(() => this.answer(), (error) => status.fail(error));
    this.board = new SceneBoard({
      placements: firstPlacements(vision.styles),
      draw: (canvas, placements) => this.draw(canvas, placements),
      onChange: () => this.predict(),
      onSelect: () => this.showSelected(),
    });
    this.source = photoSource({
      label: "Background",
      options: photos["held-out"].map((name) => /** @type {const} */ ([`photo-${name}`, name])),
      initial: `photo-${photos["held-out"][0]}`,
      onPicture: (picture) => {
        status.announce("");
        draw(squareOf(picture, PHOTO_SIDE), this.background);
        this.show();
        this.board.redraw();
        this.predict();
      },
      onError: (error) => status.fail(error),
    });
    this.object = dropdown("Object", this.objectNames(), "", (name) => this.board.change({ name }));
    this.style = dropdown("Drawn by", this.styleNames(), "", (style) => this.board.change({ style }));
    this.size = slider({
      label: "Size", min: LIMITS.size[0], max: LIMITS.size[1], step: 0.01, value: 0.4,
      format: (size) => `${Math.round(100 * size)} %`,
      onInput: (size) => this.board.change({ size }),
    });
    this.angle = slider({
      label: "Turned by", min: -180, max: 180, step: 5, value: 0, format: (angle) => `${angle}°`,
      onInput: (angle) => this.board.change({ angle }),
    });
    this.adder = button("Add", () => this.add());
    this.controls = this.arrangeControls();
    this.showSelected();
  }

  start() {
    return this.source.start();
  }

  /** @returns {[string, string][]} */
  objectNames() {
    const { sprites, classes } = this.vision;
    return sprites.map((name) => [name, classes.includes(name) ? name : `${name} (never trained on)`]);
  }

  /** @returns {[string, string][]} */
  styleNames() {
    const { styles, heldOutStyles } = this.vision;
    return [
      ...styles.map((style) => /** @type {[string, string]} */ ([style, style])),
      ...heldOutStyles.map((style) => /** @type {[string, string]} */ ([style, `${style} (never seen)`])),
    ];
  }

  arrangeControls() {
    const remove = button("Remove", () => this.board.remove());
    const front = button("To the front", () => this.board.toFront());
    const selected = element("div", { class: "demo-settings" },
      this.object.field, this.style.field, this.size.field, this.angle.field);
    return element("div", { class: "demo-controls" },
      element("div", { class: "demo-row" }, this.adder, remove, front), selected, this.source.controls);
  }

  /** Replaces the still image with the live demo. */
  show() {
    if (this.section.classList.contains("demo-live")) return;
    this.section.classList.add("demo-live", "demo-five-levels");
    const hint = "Drag an object, or choose it with Tab and move it with the arrow keys; plus and " +
      "minus resize it, comma and full stop turn it.";
    const scene = element("div", { class: "demo-main" },
      this.board.element, element("p", { class: "demo-note" }, hint));
    const answers = element("div", { class: "demo-answers" },
      ...this.answers.map((answer) => answer.element), this.status.line);
    this.section.append(element("div", { class: "demo-columns" }, scene, answers, this.controls));
  }

  /** Sets the controls to the selected object's values. */
  showSelected() {
    const { placement, placements } = this.board;
    this.adder.disabled = placements.length >= LIMITS.count;
    if (!placement) return;
    this.object.select.value = placement.name;
    this.style.select.value = placement.style;
    this.size.set(placement.size);
    this.angle.set(placement.angle);
  }

  add() {
    const { sprites, styles } = this.vision;
    const count = this.board.placements.length;
    const name = sprites[(3 * count) % sprites.length];
    const style = styles[count % styles.length];
    this.board.add({ name, style, x: 0.3 + 0.2 * Math.random(), y: 0.5, size: 0.35, angle: 0 });
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {readonly import("./scene.js").Placement[]} placements
   */
  draw(canvas, placements) {
    drawScene(canvas, this.background, placements, this.sheet, this.vision.light);
  }

  /** Runs the five networks on the current scene. */
  async answer() {
    const start = performance.now();
    const { size } = this.vision;
    this.draw(this.input, this.board.placements);
    const picture = fromPixels(context(this.input).getImageData(0, 0, size, size));
    const scene = draw(picture);
    for (const answer of this.answers) {
      const image = { data: picture.data, dims: [1, 3, size, size] };
      answer.show(await this.runtime.run(answer.name, { image }), scene);
    }
    const time = Math.round(performance.now() - start);
    this.section.dataset.milliseconds = String(time);
    this.status.showQuietly(`The five answers took ${time} ms.`);
  }
}

/** @param {readonly string[]} styles @returns {import("./scene.js").Placement[]} */
function firstPlacements([first, second, third]) {
  return [
    { name: "house", style: first, x: 0.3, y: 0.36, size: 0.46, angle: 0 },
    { name: "owl", style: second, x: 0.7, y: 0.4, size: 0.4, angle: 0 },
    { name: "car", style: third, x: 0.48, y: 0.74, size: 0.42, angle: 0 },
  ];
}
