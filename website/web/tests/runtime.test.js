import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { inflate, unpackTexts } from "../runtime/assets.js";
import { addDifference } from "../runtime/difference.js";
import { Runtime, explain } from "../runtime/runtime.js";

/** A mock worker with scripted replies. */
class FakeWorker {
  /** @type {((event: {data: any}) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  terminated = false;
  /** @type {any[]} */
  requests = [];

  /** @param {any} request */
  postMessage(request) {
    this.requests.push(request);
  }

  terminate() {
    this.terminated = true;
  }
}

function open() {
  const worker = new FakeWorker();
  return { worker, runtime: new Runtime(/** @type {any} */ (worker)) };
}

/** 15 bits per character, the most significant first, as course_site/models/package.py writes them. @param {Uint8Array} bytes */
function packText(bytes) {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,15}/g) ?? [];
  return groups.map((group) => String.fromCharCode(0x4000 + parseInt(group.padEnd(15, "0"), 2))).join("");
}

test("the pieces of a gzipped file are joined and decompressed", async () => {
  const contents = Uint8Array.from({ length: 10_000 }, (_, i) => (i * i) % 251);
  for (const size of [15, 16, 10_000]) {
    const packed = gzipSync(contents.subarray(0, size));
    const text = packText(packed);
    const bytes = unpackTexts([text.slice(0, 8), text.slice(8)], packed.length);
    assert.deepEqual(await inflate(bytes), contents.subarray(0, size));
  }
});

test("a difference is added to bytes and to float32 numbers", () => {
  const model = new Uint8Array(16);
  model.set([100, 250, 7], 1);
  const numbers = new DataView(model.buffer);
  numbers.setFloat32(5, 0.5, true);
  numbers.setFloat32(9, -2, true);
  const parts = [{ offset: 1, count: 2, step: 0 }, { offset: 5, count: 2, step: 0.25 }];
  const header = new TextEncoder().encode(JSON.stringify(parts));
  const difference = new Uint8Array(4 + header.length + 4);
  new DataView(difference.buffer).setUint32(0, header.length, true);
  difference.set(header, 4);
  difference.set(Int8Array.of(-3, 5, 2, -4).map((unit) => unit & 0xff), 4 + header.length);
  addDifference(model, difference);
  assert.deepEqual([...model.subarray(0, 5)], [0, 97, 255, 7, 0]);
  assert.deepEqual([numbers.getFloat32(5, true), numbers.getFloat32(9, true)], [1, -3]);
});

test("a damaged file is rejected", async () => {
  const bytes = Uint8Array.from(gzipSync("some text that is long enough"));
  bytes[bytes.length - 5] ^= 1; // the checksum
  await assert.rejects(inflate(bytes));
});

test("replies are matched to requests by id, in any order", async () => {
  const { worker, runtime } = open();
  const [first, second] = [runtime.run("a", {}), runtime.run("b", {})];
  await Promise.resolve();
  const [one, two] = worker.requests;
  worker.onmessage?.({ data: { id: two.id, outputs: { b: 2 } } });
  worker.onmessage?.({ data: { id: one.id, outputs: { a: 1 } } });
  assert.deepEqual(await Promise.all([first, second]), [{ a: 1 }, { b: 2 }]);
});

test("an error of the worker becomes a message for the visitor", async () => {
  const { worker, runtime } = open();
  const run = runtime.run("a", {});
  await Promise.resolve();
  worker.onmessage?.({ data: { id: worker.requests[0].id, error: "std::bad_alloc" } });
  await assert.rejects(run, /too little memory/);
  assert.match(explain("RuntimeError: unreachable\nat …").message, /can't run .*unreachable\)\.$/);
});

test("all pending requests fail when the worker fails", async () => {
  const { worker, runtime } = open();
  const runs = [runtime.run("a", {}), runtime.run("b", {})];
  await Promise.resolve();
  worker.onerror?.({ message: "out of memory", preventDefault() {} });
  for (const run of runs) await assert.rejects(run, /too little memory/);
  assert.ok(worker.terminated);
});
