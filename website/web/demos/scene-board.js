/** A scene editor: objects are moved, resized and rotated by pointer or keyboard. */

import { element } from "./controls.js";
import { limit } from "./scene.js";

/** @typedef {import("./scene.js").Placement} Placement */

const SIDE = 256; // pixels of the canvas; a larger one would slow down every redraw
const HELP = "Arrow keys move, plus and minus resize, comma and full stop turn, Delete removes.";

export class SceneBoard {
  /**
   * @param {{
   *   placements: Placement[],
   *   draw: (canvas: HTMLCanvasElement, placements: Placement[]) => void,
   *   onChange: () => void,
   *   onSelect: () => void,
   * }} options `draw` draws the scene; `onChange` is called after every change
   */
  constructor({ placements, draw, onChange, onSelect }) {
    this.placements = placements;
    this.drawScene = draw;
    this.onChange = onChange;
    this.onSelect = onSelect;
    this.selected = placements.length - 1;
    this.canvas = element("canvas", { width: SIDE, height: SIDE, "aria-hidden": "true" });
    this.handles = element("div", { class: "demo-handles" });
    this.element = element("div", { class: "demo-picture demo-square demo-board" },
      this.canvas, this.handles);
    this.rebuild();
  }

  /** Recreates the handles and redraws: after objects were added, removed or reordered. */
  rebuild() {
    this.handles.replaceChildren(...this.placements.map((_, index) => this.makeHandle(index)));
    this.redraw();
  }

  redraw() {
    this.drawScene(this.canvas, this.placements);
    this.placements.forEach((placement, index) => {
      const handle = /** @type {HTMLElement} */ (this.handles.children[index]);
      const { name, x, y, size } = placement;
      handle.style.left = `${100 * (x - size / 2)}%`;
      handle.style.top = `${100 * (y - size / 2)}%`;
      handle.style.width = handle.style.height = `${100 * size}%`;
      const place = `${Math.round(100 * x)} % from the left, ${Math.round(100 * y)} % from the top`;
      handle.setAttribute("aria-label", `${name}, ${place}. ${HELP}`);
      handle.setAttribute("aria-pressed", String(index === this.selected));
    });
  }

  /** @param {number} index */
  makeHandle(index) {
    const corner = element("span", { class: "demo-corner" });
    const handle = element("button", { type: "button", class: "demo-handle" }, corner);
    handle.addEventListener("focus", () => this.select(index));
    handle.addEventListener("keydown", (event) => this.onKey(event));
    handle.addEventListener("pointerdown", (event) => this.onPress(event, event.target === corner));
    handle.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    return handle;
  }

  /** @param {number} index */
  select(index) {
    this.selected = index;
    this.redraw();
    this.onSelect();
  }

  get placement() {
    return this.placements[this.selected];
  }

  /** Changes the selected object. @param {Partial<Placement>} changes */
  change(changes) {
    if (!this.placement) return;
    this.placements[this.selected] = limit({ ...this.placement, ...changes });
    this.redraw();
    this.onChange();
  }

  /** @param {Placement} placement */
  add(placement) {
    this.placements.push(limit(placement));
    this.selected = this.placements.length - 1;
    this.rebuild();
    this.onChange();
    this.onSelect();
  }

  /** Removes the selected object and moves the focus to another object. */
  remove() {
    if (!this.placement) return;
    const focused = this.handles.contains(document.activeElement);
    this.placements.splice(this.selected, 1);
    this.selected = Math.min(this.selected, this.placements.length - 1);
    this.rebuild();
    if (focused) /** @type {HTMLElement | undefined} */ (this.handles.children[this.selected])?.focus();
    this.onChange();
    this.onSelect();
  }

  /** Moves the selected object to the front of the z-order. */
  toFront() {
    if (!this.placement) return;
    this.placements.push(...this.placements.splice(this.selected, 1));
    this.selected = this.placements.length - 1;
    this.rebuild();
    this.onChange();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { x, y, size, angle } = this.placement;
    const step = event.shiftKey ? 0.1 : 0.02;
    /** @type {Record<string, Partial<Placement>>} */
    const changes = {
      ArrowLeft: { x: x - step },
      ArrowRight: { x: x + step },
      ArrowUp: { y: y - step },
      ArrowDown: { y: y + step },
      "+": { size: size + 0.03 },
      "-": { size: size - 0.03 },
      ",": { angle: angle + 10 },
      ".": { angle: angle - 10 },
    };
    if (event.key === "Delete" || event.key === "Backspace") this.remove();
    else if (event.key in changes) this.change(changes[event.key]);
    else return;
    event.preventDefault();
  }

  /**
   * Moves or resizes the object until the pointer is released.
   *
   * @param {PointerEvent} event
   * @param {boolean} resize
   */
  onPress(event, resize) {
    const handle = /** @type {HTMLElement} */ (event.currentTarget);
    handle.focus(); // Safari doesn't focus a pressed button
    handle.setPointerCapture(event.pointerId);
    const { x, y, size } = this.placement;
    const { left, top, width } = this.element.getBoundingClientRect();
    const start = { x: event.clientX, y: event.clientY };
    /** @param {PointerEvent} moved */
    const move = (moved) => {
      if (resize) {
        const halfSize = Math.max(moved.clientX - left - x * width, moved.clientY - top - y * width);
        this.change({ size: (2 * halfSize) / width });
      } else {
        const dx = (moved.clientX - start.x) / width;
        this.change({ x: x + dx, y: y + (moved.clientY - start.y) / width, size });
      }
    };
    const end = () => {
      handle.removeEventListener("pointermove", move);
      handle.removeEventListener("pointerup", end);
      handle.removeEventListener("pointercancel", end);
    };
    handle.addEventListener("pointermove", move);
    handle.addEventListener("pointerup", end);
    handle.addEventListener("pointercancel", end);
  }

  /**
   * Resizes the focused object; over other objects the wheel scrolls the page.
   *
   * @param {WheelEvent} event
   */
  onWheel(event) {
    if (document.activeElement !== event.currentTarget) return;
    event.preventDefault();
    this.change({ size: this.placement.size * (event.deltaY < 0 ? 1.06 : 1 / 1.06) });
  }
}
