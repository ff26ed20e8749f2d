import assert from "node:assert/strict";
import { test } from "node:test";

import { detections, groupPixels, iou, labelPosition, largest, semanticMap } from "../demos/vision.js";

const OPTIONS = { scoreThreshold: 0.05, iouThreshold: 0.6, maxDetections: 100 };

test("intersection over union", () => {
  assert.equal(iou([0, 0, 2, 2], [1, 0, 3, 2]), 2 / 6);
  assert.equal(iou([0, 0, 1, 1], [2, 2, 3, 3]), 0);
  assert.equal(iou([0, 0, 0, 0], [0, 0, 0, 0]), 0);
});

test("suppression is per class, and detections are sorted by score", () => {
  const scores = { data: Float32Array.of(0.5, 0.9, 0.02, 0.8, 0.01, 0.3), dims: [1, 2, 1, 3] };
  const boxes = { data: Float32Array.of(0, 0, 10, 10, 0, 0, 10, 9, 50, 50, 60, 60), dims: [1, 1, 3, 4] };
  const found = detections(scores, boxes, OPTIONS);
  assert.deepEqual(found.map(({ label, box }) => [label, box[3]]), [[0, 9], [1, 10], [1, 60]]);
  assert.equal(detections(scores, boxes, { ...OPTIONS, maxDetections: 1 }).length, 1);
});

test("the most probable class of each pixel", () => {
  const data = Float32Array.of(0.5, 0.2, 0.3, 0.7, 0.2, 0.1); // three channels of two pixels
  assert.deepEqual([...semanticMap({ data, dims: [1, 3, 1, 2] })], [0, 1]);
  assert.deepEqual(largest([1, 3, 2]), { label: 1, score: 3 });
});

test("pixels are assigned to the centre that their offset points to", () => {
  // Eight pixels in a row, all of class 0 but the last, which is background.
  const count = 8;
  const background = [0, 0, 0, 0, 0, 0, 0, 1];
  const probabilities = Float32Array.from([...background, ...background.map((value) => 0.8 * (1 - value))]);
  const heatmap = Float32Array.of(0, 0.9, 0, 0, 0, 0.5, 0, 0);
  const peaks = heatmap.map((value) => Number(value > 0));
  const offsets = new Float32Array(2 * count);
  offsets[3] = 3; // the fourth pixel points to x = 6
  const outputs = {
    probabilities: { data: probabilities, dims: [1, 2, 1, count] },
    heatmap: { data: heatmap, dims: [1, 1, count] },
    peaks: { data: peaks, dims: [1, 1, count] },
    offsets: { data: offsets, dims: [1, 2, 1, count] },
  };
  const options = { scoreThreshold: 0.2, maxInstances: 20, minPixels: 1 };
  const [first, second] = groupPixels(outputs, options);
  assert.deepEqual([...first.mask], [1, 1, 1, 0, 0, 0, 0, 0]);
  assert.deepEqual([...second.mask], [0, 0, 0, 1, 1, 1, 1, 0]);
  assert.ok(Math.abs(first.score - 0.8 * 0.9) < 1e-6 && first.label === 0);
  assert.equal(groupPixels(outputs, { ...options, minPixels: 4 }).length, 1);
  assert.equal(groupPixels(outputs, { ...options, scoreThreshold: 0.95 }).length, 0);
});

test("a label is placed in the middle of the longest run of a mask", () => {
  const mask = Uint8Array.of(1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1);
  assert.deepEqual(labelPosition(mask, 4), { x: 2.5, y: 1.5, run: 3 });
});
