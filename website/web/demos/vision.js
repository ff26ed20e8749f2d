/**
 * Post-processes the outputs of lesson 3's networks, as in course_lib/vision.
 *
 * @typedef {{data: Float32Array, dims: readonly number[]}} Tensor
 * @typedef {{scoreThreshold: number, iouThreshold: number, maxDetections: number}} DetectorOptions
 * @typedef {{scoreThreshold: number, maxInstances: number, minPixels: number}} InstanceOptions
 * @typedef {{
 *   size: number, classes: string[], levels: Record<string, [number, string]>,
 *   sprites: string[], styles: string[], heldOutStyles: string[],
 *   light: import("./scene.js").Light, shown: number,
 *   detector: DetectorOptions, instances: InstanceOptions,
 * }} VisionData
 * @typedef {[number, number, number, number]} Box x0, y0, x1, y1 in pixels
 * @typedef {{label: number, score: number, box: Box}} Detection
 * @typedef {{label: number, score: number, mask: Uint8Array}} Instance a mask has 1 on the object
 */

/**
 * The index of the largest value as `label`, and the value as `score`.
 *
 * @param {ArrayLike<number>} values
 */
export function largest(values) {
  let label = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[label]) label = i;
  return { label, score: values[label] };
}

/**
 * The detections in an image by descending score, after non-maximum suppression per class.
 *
 * @param {Tensor} scores 1 x classes x rows x columns
 * @param {Tensor} boxes 1 x rows x columns x 4
 * @param {DetectorOptions} options
 * @returns {Detection[]}
 */
export function detections(scores, boxes, { scoreThreshold, iouThreshold, maxDetections }) {
  const [, classes, rows, columns] = scores.dims;
  const cells = rows * columns;
  /** @type {Detection[]} */
  const candidates = [];
  for (let label = 0; label < classes; label++) {
    for (let cell = 0; cell < cells; cell++) {
      const score = scores.data[label * cells + cell];
      if (score <= scoreThreshold) continue;
      const [x0, y0, x1, y1] = boxes.data.subarray(4 * cell, 4 * cell + 4);
      candidates.push({ label, score, box: [x0, y0, x1, y1] });
    }
  }
  candidates.sort((a, b) => b.score - a.score);
  /** @type {Detection[]} */
  const kept = [];
  for (const candidate of candidates) {
    const suppressed = kept.some(
      ({ label, box }) => label === candidate.label && iou(box, candidate.box) > iouThreshold,
    );
    if (!suppressed) kept.push(candidate);
  }
  return kept.slice(0, maxDetections);
}

/**
 * Intersection over union of two boxes.
 *
 * @param {Box} first
 * @param {Box} second
 */
export function iou(first, second) {
  const overlap = area([
    Math.max(first[0], second[0]),
    Math.max(first[1], second[1]),
    Math.min(first[2], second[2]),
    Math.min(first[3], second[3]),
  ]);
  return overlap / Math.max(area(first) + area(second) - overlap, 1e-6);
}

/** The area of a box; zero for an inverted box. @param {Box} box */
function area([x0, y0, x1, y1]) {
  return Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
}

/**
 * The most probable class of each pixel: 0 is the background, 1 + label an object.
 *
 * @param {Tensor} probabilities 1 x (1 + classes) x height x width
 */
export function semanticMap({ data, dims: [, channels, height, width] }) {
  const count = height * width;
  const map = new Uint8Array(count);
  for (let pixel = 0; pixel < count; pixel++) {
    let best = data[pixel];
    for (let channel = 1; channel < channels; channel++) {
      const value = data[channel * count + pixel];
      if (value > best) [best, map[pixel]] = [value, channel];
    }
  }
  return map;
}

/**
 * The instances in an image by descending score: foreground pixels grouped by the nearest centre.
 *
 * @param {{probabilities: Tensor, heatmap: Tensor, peaks: Tensor, offsets: Tensor}} outputs
 * @param {InstanceOptions} options
 * @returns {Instance[]}
 */
export function groupPixels({ probabilities, heatmap, peaks, offsets }, options) {
  const [, channels, height, width] = probabilities.dims;
  const count = height * width;
  const centres = findCentres(heatmap.data, peaks.data, width, options);
  const masks = centres.map(() => new Uint8Array(count));
  for (let pixel = 0; pixel < count && centres.length; pixel++) {
    if (probabilities.data[pixel] >= 0.5) continue; // background
    const x = (pixel % width) + offsets.data[pixel];
    const y = Math.floor(pixel / width) + offsets.data[count + pixel];
    masks[nearest(centres, x, y)][pixel] = 1;
  }
  const instances = masks.flatMap((mask, index) => {
    if (mask.reduce((sum, value) => sum + value, 0) < options.minPixels) return [];
    const { label, score } = largest(meanProbabilities(probabilities.data, channels, mask));
    return [{ label, score: score * centres[index].score, mask }];
  });
  return instances.sort((a, b) => b.score - a.score);
}

/**
 * @param {Float32Array} heatmap
 * @param {Float32Array} peaks 1 at local maxima
 * @param {number} width
 * @param {InstanceOptions} options
 */
function findCentres(heatmap, peaks, width, { scoreThreshold, maxInstances }) {
  const centres = [];
  for (let pixel = 0; pixel < peaks.length; pixel++) {
    if (!peaks[pixel] || heatmap[pixel] <= scoreThreshold) continue;
    centres.push({ x: pixel % width, y: Math.floor(pixel / width), score: heatmap[pixel] });
  }
  return centres.sort((a, b) => b.score - a.score).slice(0, maxInstances);
}

/**
 * @param {readonly {x: number, y: number}[]} centres
 * @param {number} x
 * @param {number} y
 */
function nearest(centres, x, y) {
  let best = 0;
  let shortest = Infinity;
  centres.forEach((centre, index) => {
    const distance = (centre.x - x) ** 2 + (centre.y - y) ** 2;
    if (distance < shortest) [shortest, best] = [distance, index];
  });
  return best;
}

/**
 * The mean probability of each class inside a mask, without the background.
 *
 * @param {Float32Array} probabilities
 * @param {number} channels
 * @param {Uint8Array} mask
 */
function meanProbabilities(probabilities, channels, mask) {
  const means = new Float64Array(channels - 1);
  let pixels = 0;
  for (let pixel = 0; pixel < mask.length; pixel++) {
    if (!mask[pixel]) continue;
    pixels += 1;
    for (let channel = 1; channel < channels; channel++) {
      means[channel - 1] += probabilities[channel * mask.length + pixel];
    }
  }
  return means.map((sum) => sum / pixels);
}

/** The centre (x, y) of the longest horizontal run of a mask's pixels, where a text label fits. */
export function labelPosition(/** @type {Uint8Array} */ mask, /** @type {number} */ width) {
  let best = { x: 0, y: 0, run: 0 };
  for (let start = 0; start < mask.length; start += width) {
    let run = 0;
    for (let x = 0; x <= width; x++) {
      if (x < width && mask[start + x]) run += 1;
      else {
        if (run > best.run) best = { x: x - run / 2, y: start / width + 0.5, run };
        run = 0;
      }
    }
  }
  return best;
}
