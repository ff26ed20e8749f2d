/**
 * Runs the course's models: one worker for the whole page, shared by all demos.
 *
 *     const runtime = await openRuntime(onProgress);
 *     await runtime.load("decoder", onProgress);
 *     const { image } = await runtime.run("decoder", { latents: { data, dims: [1, 4, 16, 16] } });
 *
 * course_site/models/export.py describes the inputs and outputs of each model. All error messages are
 * for the visitor.
 */

import { loadAsset, sumProgress } from "./assets.js";
import { BASES } from "./difference.js";

/**
 * @typedef {import("./assets.js").OnProgress} OnProgress
 * @typedef {import("./protocol.js").Action} Action
 * @typedef {import("./protocol.js").Reply} Reply
 * @typedef {import("./protocol.js").Tensors} Tensors
 * @typedef {import("./protocol.js").Outputs} Outputs
 */

/** @type {Promise<Runtime> | undefined} */
let opened;

/**
 * The page's runtime. The first call loads it; after a failure the next call tries again.
 *
 * @param {OnProgress} [onProgress]
 * @returns {Promise<Runtime>}
 */
export function openRuntime(onProgress) {
  opened ??= start(onProgress);
  opened.catch(() => (opened = undefined));
  return opened;
}

/** @param {OnProgress} [onProgress] */
async function start(onProgress) {
  if (typeof WebAssembly === "undefined" || typeof Worker === "undefined") {
    throw new Error(
      "The models can't run here: WebAssembly is missing or disabled. Use another browser, or enable it.",
    );
  }
  const [code, wasm] = await Promise.all([loadAsset("worker"), loadAsset("onnxruntime", onProgress)]);
  const blob = new Blob([/** @type {BlobPart} */ (code)], { type: "text/javascript" });
  const runtime = new Runtime(new Worker(URL.createObjectURL(blob)));
  await runtime.ask({ action: "init", wasm }, [wasm.buffer]);
  return runtime;
}

export class Runtime {
  /** @type {Map<number, {resolve: (reply: Reply) => void, reject: (error: Error) => void}>} */
  #pending = new Map();
  /** @type {Map<string, Promise<void>>} */
  #models = new Map();
  #requests = 0;
  #worker;

  /** @param {Worker} worker */
  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => {
      this.#pending.get(data.id)?.resolve(data);
      this.#pending.delete(data.id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(explain(event.message ?? ""));
    };
  }

  /**
   * Loads a model, unless it is already loaded.
   *
   * @param {string} name
   * @param {OnProgress} [onProgress]
   * @returns {Promise<void>}
   */
  load(name, onProgress) {
    let model = this.#models.get(name);
    if (!model) {
      model = this.#load(name, onProgress);
      this.#models.set(name, model);
      model.catch(() => this.#models.delete(name));
    }
    return model;
  }

  /** @param {string} name @param {OnProgress} [onProgress] */
  async #load(name, onProgress) {
    const base = BASES[name];
    const reporter = sumProgress((loaded, total) => onProgress?.(loaded, total));
    const [difference, model] = await Promise.all([
      base ? loadAsset(name, reporter()) : undefined,
      loadAsset(base ?? name, reporter()),
    ]);
    // Copied, not transferred: two models can have the same base.
    await this.ask({ action: "load", name, model, difference });
  }

  /**
   * Runs a loaded model.
   *
   * @param {string} name
   * @param {Tensors} inputs
   * @param {readonly string[]} [outputs] the names of the outputs to return; by default all
   * @returns {Promise<Outputs>}
   */
  async run(name, inputs, outputs) {
    const reply = await this.ask({ action: "run", name, inputs, outputs });
    return reply.outputs ?? {};
  }

  /**
   * @param {Action} action
   * @param {ArrayBufferLike[]} transferred
   * @returns {Promise<Reply>}
   */
  async ask(action, transferred = []) {
    const id = this.#requests++;
    const reply = await new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ ...action, id }, /** @type {ArrayBuffer[]} */ (transferred));
    });
    if (reply.error !== undefined) throw explain(reply.error);
    return reply;
  }

  /** Rejects all pending requests and stops the worker; the next openRuntime starts a new one. */
  #fail(/** @type {Error} */ error) {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    this.#worker.terminate();
    opened = undefined;
  }
}

/** Turns the worker's error message into a message for the visitor. @param {string} message */
export function explain(message) {
  if (/memory|alloc|oom/i.test(message)) {
    return new Error("There is too little memory for the models. Close other tabs, then reload this page.");
  }
  const detail = message.trim().split("\n")[0].slice(0, 200);
  return new Error(`The models can't run in this browser${detail && ` (it says: ${detail})`}.`);
}
