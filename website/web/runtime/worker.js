/** The worker: runs onnxruntime-web on one thread, and handles requests in order. */

import * as ort from "onnxruntime-web/wasm";

import { addDifference } from "./difference.js";

/** @typedef {import("./protocol.js").Request} Request */
/** @typedef {import("./protocol.js").Reply} Reply */

// TypeScript types globalThis as Window. lib.dom has no DedicatedWorkerGlobalScope; Worker has the
// same postMessage and onmessage.
const scope = /** @type {Worker} */ (/** @type {unknown} */ (globalThis));

// course_site/models/quantise.py has already applied onnxruntime's graph optimisations to these.
const OPTIMISED = ["text-encoder", "unet", "one-step", "decoder"];

/** @type {Map<string, ort.InferenceSession>} */
const sessions = new Map();
let queue = Promise.resolve();

scope.onmessage = (/** @type {MessageEvent<Request>} */ { data }) => {
  queue = queue.then(() => handleRequest(data));
};

/** @param {Request} request */
async function handleRequest(request) {
  try {
    const outputs = await dispatch(request);
    const buffers = Object.values(outputs ?? {}).map(({ data }) => data.buffer);
    reply({ id: request.id, outputs }, buffers);
  } catch (error) {
    reply({ id: request.id, error: String(error instanceof Error ? error.message : error) }, []);
  }
}

/** @param {Reply} message @param {ArrayBuffer[]} transferred */
function reply(message, transferred) {
  scope.postMessage(message, transferred);
}

/** @param {Request} request */
async function dispatch(request) {
  switch (request.action) {
    case "init":
      // More threads need cross-origin isolation headers, which static hosts do not send.
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmBinary = request.wasm;
      ort.env.logLevel = "error";
      return undefined;
    case "load":
      if (request.difference) addDifference(request.model, request.difference);
      sessions.set(request.name, await ort.InferenceSession.create(request.model, {
        executionProviders: ["wasm"],
        graphOptimizationLevel: OPTIMISED.includes(request.name) ? "disabled" : "all",
      }));
      return undefined;
    case "run":
      return run(request);
  }
}

/** @param {Extract<Request, {action: "run"}>} request */
async function run({ name, inputs, outputs }) {
  const session = sessions.get(name);
  if (!session) throw new Error(`the model ${name} is not loaded`);
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([key, { data, dims }]) => [
      key,
      data instanceof BigInt64Array
        ? new ort.Tensor("int64", data, dims)
        : new ort.Tensor("float32", data, dims),
    ]),
  );
  const results = await session.run(feeds, outputs ?? session.outputNames);
  return Object.fromEntries(
    Object.entries(results).map(([key, { data, dims }]) => [
      key,
      { data: /** @type {Float32Array<ArrayBuffer>} */ (data), dims: [...dims] },
    ]),
  );
}
