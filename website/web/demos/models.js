/** Loads the models of a demo, and reports the total progress of their files. */

import { sumProgress } from "../runtime/assets.js";
import { openRuntime } from "../runtime/runtime.js";
import { formatBytes } from "./controls.js";

/** @typedef {import("../runtime/runtime.js").Runtime} Runtime */

/**
 * Opens the page's runtime and loads models into it, unless they are already loaded.
 *
 * @param {readonly string[]} names
 * @param {{progress: (message: string, fraction: number) => void}} status
 * @returns {Promise<Runtime>}
 */
export async function loadModels(names, status) {
  const reporter = sumProgress((loaded, total) => {
    const done = loaded >= total;
    const message = `Loading the models: ${formatBytes(loaded)} of ${formatBytes(total)}`;
    status.progress(done ? "Preparing the models" : message, total ? loaded / total : 0);
  });
  const runtime = await openRuntime(reporter());
  await Promise.all(names.map((name) => runtime.load(name, reporter())));
  return runtime;
}
