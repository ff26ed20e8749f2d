import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import {
  changeChannels,
  channelPicture,
  encodeWithin,
  interpolate,
  packedSize,
  psnr,
  quantise,
} from "../demos/codec.js";

const LATENTS = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i) * (i < 256 ? 1 : 10));

test("8 bits keep every value within half a step of its channel's range", () => {
  const { integers, values } = quantise(LATENTS, 2);
  assert.equal(Math.min(...integers), 0);
  assert.equal(Math.max(...integers), 255);
  const error = LATENTS.map((value, i) => Math.abs(value - values[i]));
  assert.ok(Math.max(...error.subarray(0, 256)) <= 2 / 255 / 2 + 1e-6);
  assert.ok(Math.max(...error.subarray(256)) <= 20 / 255 / 2 + 1e-5);
});

test("a constant channel is restored exactly", () => {
  const { integers, values } = quantise(new Float32Array(8).fill(5), 2);
  assert.deepEqual([...integers], Array(8).fill(0));
  assert.deepEqual([...values], Array(8).fill(5));
});

test("the size is the zlib stream and 8 bytes for each channel's range", async () => {
  const quantised = quantise(LATENTS, 2);
  assert.equal(await packedSize(quantised), deflateSync(quantised.integers).length + 16);
});

test("PSNR", () => {
  const black = { data: new Float32Array(4), channels: 1, height: 2, width: 2 };
  assert.ok(Math.abs(psnr(black, { ...black, data: new Float32Array(4).fill(0.1) }) - 20) < 1e-5);
  assert.equal(psnr(black, black), Infinity);
});

test("the largest file that fits is found", async () => {
  const encode = async (/** @type {number} */ quality) => ({ size: 100 + 10 * quality });
  assert.deepEqual(await encodeWithin(encode, 555), { file: { size: 550 }, quality: 45 });
  assert.equal((await encodeWithin(encode, 1e9))?.quality, 100);
  assert.equal((await encodeWithin(encode, 100))?.quality, 0);
  assert.equal(await encodeWithin(encode, 99), null);
});

test("latents are interpolated, and their channels changed by gain and shift", () => {
  assert.deepEqual([...interpolate(Float32Array.of(0, 4), Float32Array.of(2, 0), 0.25)], [0.5, 3]);
  const changed = changeChannels(Float32Array.of(1, 3, 5, 5), [{ gain: 2, shift: 1 }, { gain: 1, shift: 3 }]);
  assert.deepEqual([...changed], [3, 7, 5, 5]); // standard deviations 1 and 0
});

test("a channel is normalised from its minimum to its maximum", () => {
  const { data } = channelPicture(Float32Array.of(9, 9, 9, 9, 1, 2, 3, 5), 1, 2);
  assert.deepEqual([...data], [0, 0.25, 0.5, 1]);
});
