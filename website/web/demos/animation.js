/** A GIF of pictures, with gifenc. */

import { GIFEncoder, applyPalette, quantize } from "gifenc";

import { toPixels } from "./pictures.js";

/**
 * @param {readonly import("./pictures.js").Picture[]} frames of one size, at least one
 * @param {{delay?: number, rest?: number, scale?: number}} [options] milliseconds per frame, and
 *   those of the last one; whole pixels per pixel
 * @returns {Uint8Array}
 */
export function makeGif(frames, { delay = 120, rest = 2000, scale = 2 } = {}) {
  const gif = GIFEncoder();
  frames.forEach((frame, index) => {
    const width = frame.width * scale;
    const pixels = enlarge(toPixels(frame), frame.width, frame.height, scale);
    const palette = quantize(pixels, 256);
    gif.writeFrame(applyPalette(pixels, palette), width, frame.height * scale, {
      palette,
      delay: index === frames.length - 1 ? rest : delay,
    });
  });
  gif.finish();
  return gif.bytes();
}

/**
 * Every pixel as a square of pixels.
 *
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 */
export function enlarge(pixels, width, height, scale) {
  const large = new Uint8ClampedArray(pixels.length * scale * scale);
  const from = new Uint32Array(pixels.buffer, pixels.byteOffset, width * height);
  const to = new Uint32Array(large.buffer);
  for (let i = 0; i < to.length; i++) {
    const row = Math.floor(i / (width * scale) / scale);
    to[i] = from[row * width + Math.floor((i % (width * scale)) / scale)];
  }
  return large;
}
