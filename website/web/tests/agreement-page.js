/**
 * A page for tests/website/test_agreement.py and benchmarks/website.py: the models without a demo.
 * Tensors are passed as base64, which is much faster than arrays of numbers.
 */

import { generate, generateInOneStep } from "../diffusion/pipeline.js";
import { loadAsset } from "../runtime/assets.js";
import { openRuntime } from "../runtime/runtime.js";

/** @typedef {{type: string, data: string, dims: number[]}} Packed little-endian numbers in base64 */

/** @param {Packed} tensor */
function unpack({ type, data, dims }) {
  const { buffer } = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return { data: type === "int64" ? new BigInt64Array(buffer) : new Float32Array(buffer), dims };
}

/** @param {Float32Array} values @param {number[]} dims @returns {Packed} */
function pack(values, dims) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return { type: "float32", data: btoa(binary), dims };
}

/** @param {string} name @param {Record<string, Packed>} inputs */
async function runModel(name, inputs) {
  const runtime = await openRuntime();
  await runtime.load(name);
  const tensors = Object.entries(inputs).map(([key, tensor]) => [key, unpack(tensor)]);
  const outputs = await runtime.run(name, Object.fromEntries(tensors));
  return Object.fromEntries(
    Object.entries(outputs).map(([key, { data, dims }]) => [key, pack(data, dims)]),
  );
}

/**
 * Generates a picture; returns it, the attention of the last step, and the milliseconds of each step
 * and of the decoder.
 *
 * @param {import("../diffusion/pipeline.js").Options} options
 */
async function draw(options) {
  const runtime = await openRuntime();
  /** @type {Float32Array} */
  let attention = new Float32Array();
  const times = [performance.now()];
  for await (const event of generate(options, runtime)) {
    times.push(performance.now());
    if ("image" in event) {
      const { data, channels, height, width } = event.image;
      return {
        image: pack(data, [channels, height, width]),
        attention: pack(attention, [attention.length]),
        times: times.slice(1).map((time, i) => time - times[i]),
      };
    }
    attention = event.attention;
  }
  throw new Error("The run ended without a picture.");
}

/**
 * Generates a picture with the one-step model; returns it, and the milliseconds of each model and of
 * everything.
 *
 * @param {{prompt: string, seed: number}} options
 */
async function drawInOneStep(options) {
  const runtime = await openRuntime();
  /** @type {Record<string, number>} */
  const times = {};
  /** @type {import("../diffusion/pipeline.js").Runtime} */
  const timed = {
    load: (name) => runtime.load(name),
    async run(name, inputs, outputs) {
      const start = performance.now();
      const results = await runtime.run(name, inputs, outputs);
      times[name] = performance.now() - start;
      return results;
    },
  };
  const start = performance.now();
  const { data, channels, height, width } = await generateInOneStep(options, timed);
  times.all = performance.now() - start;
  return { image: pack(data, [channels, height, width]), times };
}

Object.assign(globalThis, { course: { draw, drawInOneStep, loadAsset, runModel } });
