/** Compressed size of latents, and JPEG within a byte limit: as in course_lib/compression/codecs.py. */

/** @typedef {import("./pictures.js").Picture} Picture */

const LEVELS = 255; // of 8 bits
const RANGE_BYTES = 8; // minimum and maximum of a channel, 4 bytes each

/**
 * Quantises each channel to integers from 0 to 255; also returns the dequantised values.
 *
 * @param {Float32Array} latents
 * @param {number} channels
 */
export function quantise(latents, channels) {
  const integers = new Uint8Array(latents.length);
  const values = new Float32Array(latents.length);
  const count = latents.length / channels;
  for (let channel = 0; channel < channels; channel++) {
    const part = latents.subarray(channel * count, (channel + 1) * count);
    const low = part.reduce((least, value) => Math.min(least, value), Infinity);
    const range = part.reduce((most, value) => Math.max(most, value), -Infinity) - low;
    part.forEach((value, i) => {
      const integer = Math.round(((value - low) / Math.max(range, 1e-12)) * LEVELS);
      integers[channel * count + i] = integer;
      values[channel * count + i] = low + (integer / LEVELS) * range;
    });
  }
  return { integers, values, channels };
}

/**
 * The size in bytes of quantised latents compressed with zlib, plus the channels' ranges. (The lesson
 * uses LZMA, which takes fewer bytes, but browsers do not have it.)
 *
 * @param {{integers: Uint8Array, channels: number}} quantised
 */
export async function packedSize({ integers, channels }) {
  const stream = new Blob([/** @type {BlobPart} */ (integers)]).stream();
  const compressed = await new Response(stream.pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  return compressed.byteLength + RANGE_BYTES * channels;
}

/**
 * Peak signal-to-noise ratio in dB of two pictures in [0, 1]; infinite for equal ones.
 *
 * @param {Picture} first
 * @param {Picture} second
 */
export function psnr(first, second) {
  let sum = 0;
  first.data.forEach((value, i) => (sum += (value - second.data[i]) ** 2));
  return 10 * Math.log10(first.data.length / sum);
}

/**
 * The file of the highest quality with at most `maxBytes` bytes; null if no quality is small enough.
 *
 * @template {{size: number}} File
 * @param {(quality: number) => Promise<File>} encode at a quality of 0 to 100
 * @param {number} maxBytes
 * @returns {Promise<{file: File, quality: number} | null>}
 */
export async function encodeWithin(encode, maxBytes) {
  let [low, high] = [0, 100];
  let best = await encode(low);
  if (best.size > maxBytes) return null;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2); // the size grows with the quality
    const file = await encode(middle);
    if (file.size <= maxBytes) [low, best] = [middle, file];
    else high = middle - 1;
  }
  return { file: best, quality: low };
}

/**
 * Interpolates linearly between two latents.
 *
 * @param {Float32Array} first
 * @param {Float32Array} second
 * @param {number} weight of the second, in [0, 1]
 */
export function interpolate(first, second, weight) {
  return first.map((value, i) => value + weight * (second[i] - value));
}

/**
 * Multiplies each channel by its gain and adds its shift, in standard deviations of the channel.
 *
 * @param {Float32Array} latents
 * @param {readonly {gain: number, shift: number}[]} changes one for each channel
 */
export function changeChannels(latents, changes) {
  const count = latents.length / changes.length;
  const changed = new Float32Array(latents.length);
  changes.forEach(({ gain, shift }, channel) => {
    const part = latents.subarray(channel * count, (channel + 1) * count);
    const mean = part.reduce((sum, value) => sum + value, 0) / count;
    const variance = part.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count;
    const offset = shift * Math.sqrt(variance);
    part.forEach((value, i) => (changed[channel * count + i] = gain * value + offset));
  });
  return changed;
}

/**
 * One channel of latents as a grey picture: its minimum is black, its maximum white.
 *
 * @param {Float32Array} latents
 * @param {number} channel
 * @param {number} side
 * @returns {Picture}
 */
export function channelPicture(latents, channel, side) {
  const part = latents.subarray(channel * side * side, (channel + 1) * side * side);
  const low = part.reduce((least, value) => Math.min(least, value), Infinity);
  const range = part.reduce((most, value) => Math.max(most, value), -Infinity) - low || 1;
  return { data: part.map((value) => (value - low) / range), channels: 1, height: side, width: side };
}
