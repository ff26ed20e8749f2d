/** What tests/website/test_agreement.py and benchmarks/website.py run in a page. */

import { denoise, generate, loadParts } from "../diffusion/pipeline.js";
import { openRuntime } from "../runtime/runtime.js";

/** A model's outputs as plain lists. @param {string} name @param {any} inputs by name: [type, values, dims] */
async function runModel(name, inputs) {
  const runtime = await openRuntime();
  await runtime.load(name);
  const tensors = Object.entries(inputs).map(([key, [type, values, dims]]) => [
    key,
    { data: type === "int64" ? BigInt64Array.from(values, BigInt) : Float32Array.from(values), dims },
  ]);
  const outputs = await runtime.run(name, Object.fromEntries(tensors));
  return Object.fromEntries(
    Object.entries(outputs).map(([key, { data, dims }]) => [key, [Array.from(data), dims]]),
  );
}

/** The picture of a sentence, and the milliseconds of each step and of the decoder. @param {any} options */
async function draw(options) {
  const runtime = await openRuntime();
  if (options.noise) options.noise = Float32Array.from(options.noise);
  const times = [performance.now()];
  for await (const event of generate(options, runtime)) {
    times.push(performance.now());
    if ("image" in event) {
      return { image: Array.from(event.image.data), times: times.slice(1).map((t, i) => t - times[i]) };
    }
  }
}

Object.assign(globalThis, { course: { openRuntime, loadParts, denoise, generate, runModel, draw } });
