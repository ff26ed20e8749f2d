import assert from "node:assert/strict";
import { test } from "node:test";

import {
  colourIndex,
  colourLimit,
  colourResponse,
  convolve,
  divergingColours,
  formatNumber,
  isSigned,
  resizeKernel,
  windowAt,
} from "../demos/convolution.js";

const SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]];
const RAMP = { data: Float32Array.from({ length: 20 }, (_, i) => i), channels: 1, height: 4, width: 5 };

test("a convolution is the sum of products at every position", () => {
  const response = convolve(RAMP, SOBEL);
  assert.deepEqual([response.height, response.width], [2, 3]);
  assert.deepEqual([...response.data], Array(6).fill(8)); // columns differ by 1: (1 + 2 + 1) * 2
  const pixels = windowAt(RAMP, 3, 1, 2);
  assert.deepEqual(pixels, [[7, 8, 9], [12, 13, 14], [17, 18, 19]]);
  const sum = pixels.flat().reduce((total, pixel, i) => total + pixel * SOBEL.flat()[i], 0);
  assert.equal(sum, response.data[1 * 3 + 2]);
});

test("the kernel is not flipped: cross-correlation, as in torch", () => {
  const point = { data: new Float32Array(9), channels: 1, height: 3, width: 3 };
  point.data[2] = 1; // upper right
  assert.equal(convolve(point, [[0, 0, 7], [0, 0, 0], [0, 0, 0]]).data[0], 7);
});

test("only zero-sum kernels get the diverging colour map", () => {
  assert.ok(isSigned(SOBEL));
  assert.ok(!isSigned([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]), "sharpening keeps the brightness");
  assert.ok(!isSigned([[1, 1], [1, 1]]));
  assert.equal(colourLimit(SOBEL), 2);
  assert.equal(colourLimit([[0]]), 1, "never 0: it is a divisor");
});

test("colours: below, near white at zero, above", () => {
  const colours = divergingColours("#D55E00", "#0072B2");
  assert.deepEqual([...colours.subarray(0, 3)], [0xd5, 0x5e, 0]);
  assert.deepEqual([...colours.subarray(765)], [0, 0x72, 0xb2]);
  assert.ok(Math.min(...colours.subarray(3 * 127, 3 * 129)) > 0xf4);
  assert.equal(colourIndex(-5), 0);
  assert.equal(colourIndex(5), 255);
  const response = { data: Float32Array.of(-2, 2), channels: 1, height: 1, width: 2 };
  const pixels = colourResponse(response, SOBEL, colours);
  assert.deepEqual([...pixels], [0xd5, 0x5e, 0, 255, 0, 0x72, 0xb2, 255]);
  assert.deepEqual([...colourResponse(response, [[1]], colours)], [0, 0, 0, 255, 255, 255, 255, 255]);
});

test("a kernel is zero-padded or cropped to its centre", () => {
  const large = resizeKernel(SOBEL, 5);
  assert.deepEqual(large.map((row) => row.length), [5, 5, 5, 5, 5]);
  assert.deepEqual(large[0], [0, 0, 0, 0, 0]);
  assert.deepEqual(large[2], [0, -2, 0, 2, 0]);
  assert.deepEqual(resizeKernel(large, 3), SOBEL);
});

test("numbers have at most two decimals and the minus sign U+2212", () => {
  assert.deepEqual([0.125, -1, -0.001, 2].map(formatNumber), ["0.13", "−1", "0", "2"]);
});
