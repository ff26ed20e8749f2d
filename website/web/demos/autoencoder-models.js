/** Runs the encoder and the decoder of an autoencoder. */

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./models.js").Runtime} Runtime */

export const FACTOR = 8; // of downsampling, in both directions
export const CHANNELS = 4;

/**
 * Encodes a picture whose height and width are multiples of 8 to scaled latents.
 *
 * @param {Runtime} runtime with the model loaded
 * @param {Picture} picture
 * @param {string} model by default the text-to-image model's encoder
 */
export async function encode(runtime, { data, height, width }, model = "encoder") {
  const image = { data, dims: [1, 3, height, width] };
  const { latents } = await runtime.run(model, { image });
  return latents.data;
}

/**
 * Decodes square latents.
 *
 * @param {Runtime} runtime with the model loaded
 * @param {Float32Array} latents scaled
 * @param {number} side of the latents
 * @param {string} model by default the text-to-image model's decoder
 * @returns {Promise<Picture>}
 */
export async function decode(runtime, latents, side, model = "decoder") {
  const input = { data: latents, dims: [1, CHANNELS, side, side] };
  const { image } = await runtime.run(model, { latents: input });
  const [, channels, height, width] = image.dims;
  return { data: image.data, channels, height, width };
}
