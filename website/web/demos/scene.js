/**
 * Draws scenes of lesson 3: sprites composed on a photo, as in course_lib/data/compose.py.
 *
 * @typedef {{direction: number, falloff: number, shadow: number}} Light direction in degrees, fractions in [0, 1]
 * @typedef {{name: string, style: string, x: number, y: number, size: number, angle: number}} Placement
 *   centre and size as fractions of the image's side, angle in degrees counter-clockwise
 * @typedef {{image: CanvasImageSource, tile: number, names: string[], styles: string[]}} Sheet sprite
 *   sheet: a row for each style, a column for each name
 */

import { context } from "./pictures.js";

export const LIMITS = { position: [0, 1], size: [0.15, 0.7], count: 5 };

/**
 * Draws a scene on a square canvas.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasImageSource} background square
 * @param {readonly Placement[]} placements from back to front
 * @param {Sheet} sheet
 * @param {Light} light
 */
export function drawScene(canvas, background, placements, sheet, light) {
  const side = canvas.width;
  const ctx = context(canvas);
  ctx.imageSmoothingQuality = "high";
  ctx.drawImage(background, 0, 0, side, side);
  for (const placement of placements) drawObject(ctx, side, placement, sheet, light);
  const image = ctx.getImageData(0, 0, side, side);
  illuminate(image.data, side, light);
  ctx.putImageData(image, 0, 0);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {number} side of the canvas
 * @param {Placement} placement
 * @param {Sheet} sheet
 * @param {Light} light
 */
function drawObject(ctx, side, placement, sheet, light) {
  const { tile } = sheet;
  const column = sheet.names.indexOf(placement.name);
  const row = sheet.styles.indexOf(placement.style);
  const size = placement.size * side;
  const { blur, x, y } = castShadow(size, placement.angle, light);
  ctx.save();
  ctx.translate(placement.x * side, placement.y * side);
  ctx.rotate((-placement.angle * Math.PI) / 180);
  // A black shadow darkens the image in proportion to its opacity. The rotation does not apply to
  // shadow offset and blur.
  ctx.shadowColor = `rgba(0, 0, 0, ${light.shadow})`;
  ctx.shadowBlur = blur;
  ctx.shadowOffsetX = x;
  ctx.shadowOffsetY = y;
  ctx.drawImage(sheet.image, column * tile, row * tile, tile, tile, -size / 2, -size / 2, size, size);
  ctx.restore();
}

/**
 * The blur and the offset of a shadow in pixels.
 *
 * @param {number} size of the object in pixels
 * @param {number} angle in degrees
 * @param {Light} light
 */
export function castShadow(size, angle, { direction }) {
  const turn = (angle * Math.PI) / 180;
  const square = size * (Math.abs(Math.cos(turn)) + Math.abs(Math.sin(turn))) + 2;
  const radius = Math.max(1, Math.round(0.05 * square)); // of the box blur
  const lamp = (direction * Math.PI) / 180;
  return {
    // shadowBlur is twice the Gaussian's standard deviation, here the box blur's.
    blur: 2 * Math.sqrt((radius * (radius + 1)) / 3),
    x: -0.08 * square * Math.cos(lamp),
    y: 0.08 * square * Math.sin(lamp),
  };
}

/**
 * Applies a linear brightness gradient in place: brighter towards the lamp, darker away from it.
 *
 * @param {Uint8ClampedArray} pixels RGBA of a square image
 * @param {number} side
 * @param {Light} light
 */
export function illuminate(pixels, side, { direction, falloff }) {
  const lamp = (direction * Math.PI) / 180;
  const [right, up] = [falloff * Math.cos(lamp), falloff * Math.sin(lamp)];
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const x = column / (side - 1) - 0.5;
      const factor = 1 + right * x + up * (0.5 - row / (side - 1));
      const at = 4 * (row * side + column);
      for (let channel = 0; channel < 3; channel++) pixels[at + channel] *= factor;
    }
  }
}

/**
 * Clamps position and size to their limits, and wraps the angle to [-180, 180).
 *
 * @param {Placement} placement
 * @returns {Placement}
 */
export function limit(placement) {
  const clamp = (/** @type {number} */ value, /** @type {number[]} */ [low, high]) =>
    Math.min(Math.max(value, low), high);
  return {
    ...placement,
    x: clamp(placement.x, LIMITS.position),
    y: clamp(placement.y, LIMITS.position),
    size: clamp(placement.size, LIMITS.size),
    angle: ((((placement.angle + 180) % 360) + 360) % 360) - 180,
  };
}
