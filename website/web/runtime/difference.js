/** Models that are stored as differences to others: see course_site/models/difference.py. */

/** The model to which each of these is a difference. @type {Readonly<Record<string, string>>} */
export const BASES = { "one-step": "unet" };

/** @typedef {{offset: number, count: number, step: number}} Part `step` is 0 for bytes */

/**
 * Adds a difference to a model.
 *
 * @param {Uint8Array} model the ONNX file, which is changed
 * @param {Uint8Array} difference
 */
export function addDifference(model, difference) {
  const length = new DataView(difference.buffer, difference.byteOffset).getUint32(0, true);
  const text = new TextDecoder().decode(difference.subarray(4, 4 + length));
  const units = new Int8Array(difference.buffer, difference.byteOffset + 4 + length);
  const numbers = new DataView(model.buffer, model.byteOffset, model.byteLength);
  let next = 0;
  for (const { offset, count, step } of /** @type {Part[]} */ (JSON.parse(text))) {
    for (let i = 0; i < count; i++) {
      const unit = units[next++];
      if (step) {
        const at = offset + 4 * i; // not aligned, as in any file
        numbers.setFloat32(at, numbers.getFloat32(at, true) + step * unit, true);
      } else {
        model[offset + i] += unit;
      }
    }
  }
}
