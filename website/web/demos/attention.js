/** Draws an attention map as a fog over the picture: transparent where the weight is high. */

const SIDE = 16; // height and width of the latents
const FOG = [128, 138, 150]; // a mid grey, visible on black and on white pictures
const MAX_OPACITY = 0.88;

/**
 * The attention of some tokens, summed over the tokens and averaged over the steps.
 *
 * @param {readonly Float32Array[]} maps one for each step: tokens x 16 x 16
 * @param {readonly number[]} tokens
 * @returns {Float32Array | undefined} 16 x 16; undefined if there are no maps
 */
export function meanAttention(maps, tokens) {
  if (!maps.length) return undefined;
  const count = SIDE * SIDE;
  const mean = new Float32Array(count);
  for (const map of maps) {
    for (const token of tokens) {
      for (let i = 0; i < count; i++) mean[i] += map[token * count + i] / maps.length;
    }
  }
  return mean;
}

/**
 * RGBA of the fog: transparent at the largest weight, opaque at the smallest.
 *
 * @param {Float32Array} weights
 */
export function fogPixels(weights) {
  const low = Math.min(...weights);
  const range = Math.max(...weights) - low || 1;
  const pixels = new Uint8ClampedArray(4 * weights.length);
  weights.forEach((weight, i) => {
    pixels.set(FOG, 4 * i);
    pixels[4 * i + 3] = 255 * MAX_OPACITY * (1 - (weight - low) / range);
  });
  return pixels;
}

/**
 * Draws the fog, or clears the canvas without weights. CSS enlarges the canvas, with interpolation.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array | undefined} weights
 */
export function drawFog(canvas, weights) {
  canvas.width = canvas.height = SIDE;
  if (!weights) return;
  const image = new ImageData(SIDE, SIDE);
  image.data.set(fogPixels(weights));
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}
