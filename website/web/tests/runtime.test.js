import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { decodeBase64, inflate } from "../runtime/assets.js";
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

test("the pieces of a gzipped file are joined and decompressed", async () => {
  const contents = Uint8Array.from({ length: 10_000 }, (_, i) => (i * i) % 251);
  const text = gzipSync(contents).toString("base64");
  const half = 4 * Math.floor(text.length / 8);
  const parts = [text.slice(0, half), text.slice(half)].map(decodeBase64);
  assert.deepEqual(await inflate(parts), contents);
});

test("a damaged file is rejected", async () => {
  const bytes = Uint8Array.from(gzipSync("some text that is long enough"));
  bytes[bytes.length - 5] ^= 1; // the checksum
  await assert.rejects(inflate([bytes]));
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
