/** Loads the demos' kernels, names, colours and settings, written by course_site/demo_data.py. */

import { loadAsset } from "../runtime/assets.js";

/**
 * @typedef {{
 *   kernels: Record<string, number[][]>,
 *   photos: Record<"small" | "held-out", string[]>,
 *   pictures: Record<string, string>,
 *   colours: {below: string, above: string, objects: string[], classes: string[]},
 *   textToImage: {steps: number, guidance: number, sampler: string, schedule: any},
 *   noise: {schedule: any},
 *   vision: import("./vision.js").VisionData,
 * }} DemoData
 */

/** @type {Promise<DemoData> | undefined} */
let loaded;

/** @returns {Promise<DemoData>} */
export function loadDemoData() {
  loaded ??= loadAsset("demo-data").then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  loaded.catch(() => (loaded = undefined)); // so that the next call tries again
  return loaded;
}
