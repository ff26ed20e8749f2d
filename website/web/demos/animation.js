/** A GIF of pictures, with gifenc. */

import { GIFEncoder, applyPalette, quantize } from "gifenc";

import { enlarge, toPixels } from "./pictures.js";

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
