/** Runs the encoder and the decoder of the autoencoder. */

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./models.js").Runtime} Runtime */

export const FACTOR = 8; // of downsampling, in both directions
export const CHANNELS = 4;

/**
 * Encodes a picture whose height and width are multiples of 8 to scaled latents.
 *
 * @param {Runtime} runtime with the encoder loaded
 * @param {Picture} picture
 */
export async function encode(runtime, { data, height, width }) {
  const image = { data, dims: [1, 3, height, width] };
  const { latents } = await runtime.run("encoder", { image });
  return latents.data;
}

/**
 * Decodes square latents.
 *
 * @param {Runtime} runtime with the decoder loaded
 * @param {Float32Array} latents scaled
 * @param {number} side of the latents
 * @returns {Promise<Picture>}
 */
export async function decode(runtime, latents, side) {
  const input = { data: latents, dims: [1, CHANNELS, side, side] };
  const { image } = await runtime.run("decoder", { latents: input });
  const [, channels, height, width] = image.dims;
  return { data: image.data, channels, height, width };
}
