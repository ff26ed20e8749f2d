import assert from "node:assert/strict";
import { test } from "node:test";

import { fogPixels, meanAttention } from "../demos/attention.js";
import { coalesce, formatBytes } from "../demos/controls.js";
import { enlarge, fromPixels, toGrey, toPixels } from "../demos/pictures.js";
import { previewLatents } from "../demos/preview.js";
import { castShadow, illuminate, limit } from "../demos/scene.js";
import { sumProgress } from "../runtime/assets.js";

test("pictures become pixels and back", () => {
  const data = Uint8ClampedArray.of(255, 0, 51, 255, 0, 255, 102, 255);
  const picture = fromPixels({ data, height: 1, width: 2 });
  assert.deepEqual([...toPixels(picture)], [...data]);
  const grey = toGrey(picture);
  assert.ok(Math.abs(grey.data[0] - (0.299 + 0.114 * 0.2)) < 1e-6);
  assert.deepEqual([...toPixels(grey)].slice(0, 3), Array(3).fill(Math.round(255 * grey.data[0])));
});

test("a preview is linear in the 3x3 latents around a position", () => {
  const weights = new Float32Array(37 * 192);
  weights.fill(0.25, 36 * 192); // the bias
  weights.fill(1, 5 * 192, 6 * 192); // channel 0, row 1, column 2: the right neighbour
  const latents = new Float32Array(4 * 4);
  latents[1] = 0.5; // channel 0, row 0, column 1
  const { data, width } = previewLatents(weights, latents, 2);
  assert.equal(width, 16);
  assert.equal(data[0], 0.75, "left of the value");
  assert.equal(data[15], 0.25, "at the value itself: its right neighbour is outside");
});

test("attention is averaged over steps and summed over tokens", () => {
  const map = (/** @type {number} */ value) => new Float32Array(3 * 256).fill(value, 256);
  const mean = meanAttention([map(1), map(3)], [1, 2]);
  assert.equal(mean?.[7], 4);
  assert.equal(meanAttention([], [1]), undefined);
  const fog = fogPixels(Float32Array.of(0, 1));
  assert.ok(fog[3] > 200, "dense where the weight is low");
  assert.equal(fog[7], 0);
});

test("a picture is enlarged by an integer factor", () => {
  const large = enlarge(Uint8ClampedArray.of(1, 1, 1, 1, 2, 2, 2, 2), 2, 1, 2);
  assert.deepEqual([...large].filter((_, i) => i % 4 === 0), [1, 1, 2, 2, 1, 1, 2, 2]);
});

test("progress of several files is added up", () => {
  /** @type {number[][]} */
  const reports = [];
  const reporter = sumProgress((loaded, total) => reports.push([loaded, total]));
  const [first, second] = [reporter(), reporter()];
  first(1, 10);
  second(5, 20);
  first(10, 10);
  assert.deepEqual(reports, [[1, 10], [6, 30], [15, 30]]);
});

test("calls during a run cause one more run", async () => {
  let runs = 0;
  const work = coalesce(async () => {
    runs += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }, () => assert.fail());
  const first = work();
  work();
  work();
  await first;
  assert.equal(runs, 2);
  /** @type {unknown[]} */
  const errors = [];
  await coalesce(async () => {
    throw new Error("broken");
  }, (error) => errors.push(error))();
  assert.equal(errors.length, 1);
});

test("light and shadow of a scene", () => {
  const light = { direction: 0, falloff: 0.5, shadow: 0.4 };
  const pixels = new Uint8ClampedArray(4 * 9).fill(100);
  illuminate(pixels, 3, light);
  assert.deepEqual([pixels[0], pixels[4], pixels[8]], [75, 100, 125]);
  const { x, y, blur } = castShadow(98, 0, light);
  assert.deepEqual([x, y], [-8, 0]); // away from the lamp on the right
  assert.ok(Math.abs(blur - 2 * Math.sqrt(10)) < 1e-9);
});

test("a placement stays inside its limits", () => {
  const placed = limit({ name: "owl", style: "noto", x: 2, y: -1, size: 9, angle: 200 });
  assert.deepEqual([placed.x, placed.y, placed.size, placed.angle], [1, 0, 0.7, -160]);
});

test("byte counts have a unit and at most one decimal", () => {
  assert.deepEqual([999, 1500, 2_345_678].map(formatBytes), ["999 bytes", "1.5 kB", "2.3 MB"]);
});
