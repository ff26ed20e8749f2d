/** Encodes pictures as an animated GIF, with gifenc. */

import { GIFEncoder, applyPalette, quantize } from "gifenc";

import { enlarge, toPixels } from "./pictures.js";

/**
 * @param {readonly import("./pictures.js").Picture[]} frames of one size, at least one
 * @param {{delay?: number, lastDelay?: number, scale?: number}} [options] milliseconds per frame and
 *   of the last frame; the integer factor of enlargement
 * @returns {Uint8Array}
 */
export function makeGif(frames, { delay = 120, lastDelay = 2000, scale = 2 } = {}) {
  const gif = GIFEncoder();
  frames.forEach((frame, index) => {
    const width = frame.width * scale;
    const pixels = enlarge(toPixels(frame), frame.width, frame.height, scale);
    const palette = quantize(pixels, 256);
    gif.writeFrame(applyPalette(pixels, palette), width, frame.height * scale, {
      palette,
      delay: index === frames.length - 1 ? lastDelay : delay,
    });
  });
  gif.finish();
  return gif.bytes();
}
