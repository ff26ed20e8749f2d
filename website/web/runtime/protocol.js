/**
 * The messages between the page and its worker. Each request gets one reply with the same id.
 * `difference` is added to the model before it is loaded.
 *
 * @typedef {{data: Float32Array | BigInt64Array, dims: readonly number[]}} TensorLike
 * @typedef {Record<string, TensorLike>} Tensors
 * @typedef {(
 *   | {action: "init", wasm: Uint8Array}
 *   | {action: "load", name: string, model: Uint8Array, difference: Uint8Array | undefined}
 *   | {action: "run", name: string, inputs: Tensors, outputs: readonly string[] | undefined}
 * )} Action
 * @typedef {Action & {id: number}} Request
 * @typedef {Record<string, {data: Float32Array<ArrayBuffer>, dims: number[]}>} Outputs all float32
 * @typedef {{id: number, outputs?: Outputs, error?: string}} Reply
 */

export {};
