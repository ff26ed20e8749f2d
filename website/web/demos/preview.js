/** A linear decoder for fast previews of latents, fitted in the build (course_site/demo_data.py). */

import { loadAsset } from "../runtime/assets.js";
import { emptyPicture } from "./pictures.js";

const CHANNELS = 4;
const FACTOR = 8; // of upsampling, in both directions

/** @typedef {import("./pictures.js").Picture} Picture */

/** @returns {Promise<Float32Array>} the weights: 37 features x 192 outputs */
export async function loadPreview() {
  const bytes = await loadAsset("preview");
  return new Float32Array(bytes.slice().buffer);
}

/**
 * Decodes scaled latents with the linear decoder.
 *
 * @param {Float32Array} weights from loadPreview
 * @param {Float32Array} latents 4 x side x side
 * @param {number} [side]
 * @returns {Picture}
 */
export function previewLatents(weights, latents, side = 16) {
  const width = side * FACTOR;
  const picture = emptyPicture(3, width, width);
  const outputs = 3 * FACTOR * FACTOR;
  const patch = new Float32Array(outputs);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      patch.set(weights.subarray(CHANNELS * 9 * outputs)); // the bias
      for (let feature = 0; feature < CHANNELS * 9; feature++) {
        const value = featureAt(latents, side, feature, row, column);
        const at = feature * outputs;
        if (value) for (let i = 0; i < outputs; i++) patch[i] += value * weights[at + i];
      }
      copyPatch(patch, picture, row * FACTOR, column * FACTOR);
    }
  }
  return picture;
}

/**
 * One feature of a position's 3x3 neighbourhood, zero-padded.
 *
 * @param {Float32Array} latents
 * @param {number} side
 * @param {number} feature flat index of (channel, row, column) in the neighbourhood
 * @param {number} row
 * @param {number} column
 */
function featureAt(latents, side, feature, row, column) {
  const y = row + (Math.floor(feature / 3) % 3) - 1;
  const x = column + (feature % 3) - 1;
  if (y < 0 || x < 0 || y >= side || x >= side) return 0;
  return latents[(Math.floor(feature / 9) * side + y) * side + x];
}

/**
 * @param {Float32Array} patch 3 x 8 x 8
 * @param {Picture} picture
 * @param {number} top
 * @param {number} left
 */
function copyPatch(patch, { data, height, width }, top, left) {
  for (let i = 0; i < patch.length; i++) {
    const channel = Math.floor(i / (FACTOR * FACTOR));
    const y = top + (Math.floor(i / FACTOR) % FACTOR);
    data[(channel * height + y) * width + left + (i % FACTOR)] = patch[i];
  }
}
