/** Text to image, step by step: as course_lib.sd.pipeline. */

import { loadAsset } from "../runtime/assets.js";
import { gaussian } from "./noise.js";
import { SAMPLERS } from "./samplers.js";
import { NoiseSchedule } from "./schedule.js";
import { Tokenizer } from "./tokenizer.js";

/**
 * @typedef {import("../runtime/protocol.js").Tensors} Tensors
 * @typedef {{
 *   load(name: string): Promise<void>,
 *   run(name: string, inputs: Tensors, outputs?: readonly string[]):
 *     Promise<Record<string, {data: Float32Array, dims: number[]}>>,
 * }} Runtime the interface of what openRuntime returns
 * @typedef {{
 *   prompt: string,
 *   seed: number,
 *   steps: number,
 *   guidance: number,
 *   sampler: string,
 *   noise?: Float32Array,
 * }} Options `guidance` 1 means no guidance, at half the cost; `noise` replaces the seed's
 *   noise
 * @typedef {{
 *   step: number,
 *   steps: number,
 *   t: number,
 *   latents: Float32Array,
 *   x0: Float32Array,
 *   attention: Float32Array,
 * }} Step `step` counts from 0; `t`: the timestep of the model's input; `latents`: after the step;
 *   `x0`: the predicted clean latents (both 4 x 16 x 16); `attention`: tokens x 16 x 16, with the
 *   sum 1 over the tokens
 * @typedef {{data: Float32Array, channels: number, height: number, width: number}} Picture
 * @typedef {{
 *   merges: string,
 *   length: number,
 *   latents: [number, number, number],
 *   schedule: import("./schedule.js").ScheduleConfig,
 * }} Settings the JSON that course_site/models/build.py writes
 * @typedef {{
 *   tokenizer: Tokenizer,
 *   schedule: NoiseSchedule,
 *   shape: [number, number, number],
 * }} Parts
 */

/** @type {Promise<Parts> | undefined} */
let loading;
/** @type {Tokenizer | undefined} */
let tokenizer;

/** Loads the tokenizer, the noise schedule and the latents' shape. @returns {Promise<Parts>} */
export function loadParts() {
  loading ??= loadAsset("text-to-image").then((bytes) => {
    const parts = makeParts(JSON.parse(new TextDecoder().decode(bytes)));
    tokenizer = parts.tokenizer;
    return parts;
  });
  loading.catch(() => (loading = undefined)); // so that the next call tries again
  return loading;
}

/** @param {Settings} settings @returns {Parts} */
export function makeParts({ merges, length, latents, schedule }) {
  return {
    tokenizer: new Tokenizer(merges, length),
    schedule: new NoiseSchedule(schedule),
    shape: latents,
  };
}

/**
 * Generates a picture. To cancel, break out of the loop.
 *
 * @param {Options} options
 * @param {Runtime} runtime
 * @returns {AsyncGenerator<Step | {image: Picture}>} a value for each step, then the picture
 * @throws {Error} with a sentence for the visitor
 */
export async function* generate(options, runtime) {
  const models = ["text-encoder", "unet", "decoder"];
  const [parts] = await Promise.all([loadParts(), ...models.map((name) => runtime.load(name))]);
  yield* denoise(options, runtime, parts);
}

/**
 * Generates a picture with the one-step model: as course_lib.diffusion.one_step, with its settings.
 *
 * @param {{prompt: string, seed: number}} options
 * @param {Runtime} runtime
 * @returns {Promise<Picture>}
 * @throws {Error} with a sentence for the visitor
 */
export async function generateInOneStep({ prompt, seed }, runtime) {
  const models = ["text-encoder", "one-step", "decoder"];
  const [parts] = await Promise.all([loadParts(), ...models.map((name) => runtime.load(name))]);
  const context = await encodeTexts([prompt], runtime, parts.tokenizer);
  const inputs = {
    sample: { data: gaussian(count(parts.shape), seed), dims: [1, ...parts.shape] },
    timestep: { data: Float32Array.of(parts.schedule.config.num_train_timesteps - 1), dims: [1] },
    context,
  };
  const { v_pred: v } = await runtime.run("one-step", inputs, ["v_pred"]);
  // x0 = alpha x - sigma v, and a straight path begins with alpha = 0, sigma = 1.
  return decodeLatents(v.data.map((value) => -value), runtime, parts);
}

/**
 * As {@link generate}, with parts and models that are already loaded.
 *
 * @param {Options} options
 * @param {Runtime} runtime
 * @param {Parts} parts
 * @returns {AsyncGenerator<Step | {image: Picture}>}
 */
export async function* denoise(options, runtime, parts) {
  const { prompt, seed, steps, guidance } = options;
  if (!(options.sampler in SAMPLERS)) throw new Error(`There is no sampler “${options.sampler}”.`);
  const Sampler = SAMPLERS[/** @type {keyof typeof SAMPLERS} */ (options.sampler)];
  const sampler = new Sampler(parts.schedule, steps);
  const texts = guidance === 1 ? [prompt] : ["", prompt]; // unconditional, then conditional
  const context = await encodeTexts(texts, runtime, parts.tokenizer);
  let x = options.noise ?? gaussian(count(parts.shape), seed);
  for (const [step, t] of sampler.timesteps.entries()) {
    const outputs = await runtime.run("unet", {
      sample: { data: repeat(x, texts.length), dims: [texts.length, ...parts.shape] },
      timestep: { data: new Float32Array(texts.length).fill(t), dims: [texts.length] },
      context,
    });
    const result = sampler.step(guide(outputs.v_pred.data, guidance, x.length), t, x);
    x = result.x;
    const attention = lastPart(outputs.attention.data, texts.length);
    yield { step, steps, t, latents: x, x0: result.x0, attention };
  }
  yield { image: await decodeLatents(x, runtime, parts) };
}

/** @param {Float32Array} data @param {Runtime} runtime @param {Parts} parts @returns {Promise<Picture>} */
async function decodeLatents(data, runtime, parts) {
  const latents = { data, dims: [1, ...parts.shape] };
  const { image } = await runtime.run("decoder", { latents });
  const [, channels, height, width] = image.dims;
  return { data: image.data, channels, height, width };
}

/**
 * The words of a sentence with the indices of their tokens in the attention maps; tokens beyond the
 * maximum length are left out.
 *
 * @param {string} prompt
 * @returns {{word: string, tokens: number[]}[]}
 * @throws {Error} before the first {@link generate} or {@link loadParts}, which load the tokenizer
 */
export function wordsOf(prompt) {
  const last = countTokens() - 2;
  let position = 1; // after the start token
  return loadedTokenizer()
    .tokenizeWords(prompt)
    .map(({ word, ids }) => ({ word, tokens: ids.map(() => position++) }))
    .map(({ word, tokens }) => ({ word, tokens: tokens.filter((token) => token <= last) }))
    .filter(({ tokens }) => tokens.length);
}

/**
 * The number of tokens of every sentence in the attention maps, with start and end tokens.
 *
 * @throws {Error} as {@link wordsOf}
 */
export function countTokens() {
  return loadedTokenizer().length;
}

function loadedTokenizer() {
  if (!tokenizer) throw new Error("The tokenizer is not loaded yet: call loadParts first.");
  return tokenizer;
}

/** @param {string[]} texts @param {Runtime} runtime @param {Tokenizer} tokenizer */
async function encodeTexts(texts, runtime, tokenizer) {
  const rows = texts.flatMap((text) => [...tokenizer.encode(text)]);
  const ids = { data: BigInt64Array.from(rows), dims: [texts.length, tokenizer.length] };
  const { context } = await runtime.run("text-encoder", { ids });
  return context;
}

/**
 * Classifier-free guidance: Ho and Salimans (2022), arXiv:2207.12598.
 *
 * @param {Float32Array} predictions the conditional one, or the unconditional before the conditional
 * @param {number} guidance
 * @param {number} length of one prediction
 */
function guide(predictions, guidance, length) {
  const uncond = predictions.subarray(0, length);
  const cond = predictions.subarray(predictions.length - length);
  return uncond.map((value, i) => value + guidance * (cond[i] - value));
}

/** @param {Float32Array} values @param {number} times */
function repeat(values, times) {
  const repeated = new Float32Array(times * values.length);
  for (let i = 0; i < times; i++) repeated.set(values, i * values.length);
  return repeated;
}

/** @param {Float32Array} values @param {number} parts */
function lastPart(values, parts) {
  return values.slice(values.length - values.length / parts);
}

/** @param {number[]} shape */
function count(shape) {
  return shape.reduce((product, length) => product * length, 1);
}
