/** Convolution of a grey picture with a small kernel, and the colours of its response. */

/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {number[][]} Kernel */

/**
 * Cross-correlation without padding, as in torch: the output is smaller by the kernel's side - 1.
 *
 * @param {Picture} picture one channel
 * @param {Kernel} kernel
 * @returns {Picture}
 */
export function convolve(picture, kernel) {
  const side = kernel.length;
  const height = picture.height - side + 1;
  const width = picture.width - side + 1;
  const data = new Float32Array(height * width);
  for (let i = 0; i < side; i++) {
    for (let j = 0; j < side; j++) {
      const weight = kernel[i][j];
      if (weight === 0) continue;
      for (let row = 0; row < height; row++) {
        const from = (row + i) * picture.width + j;
        const to = row * width;
        for (let column = 0; column < width; column++) {
          data[to + column] += weight * picture.data[from + column];
        }
      }
    }
  }
  return { data, channels: 1, height, width };
}

/**
 * The input window of the output pixel at (row, column), as rows.
 *
 * @param {Picture} picture one channel
 * @param {number} side of the kernel
 * @param {number} row
 * @param {number} column
 */
export function windowAt(picture, side, row, column) {
  return Array.from({ length: side }, (_, i) =>
    Array.from({ length: side }, (_, j) => picture.data[(row + i) * picture.width + column + j]),
  );
}

/** @param {Kernel} kernel */
function flat(kernel) {
  return kernel.flat();
}

/**
 * Whether a kernel's response is centred on zero, so that it needs a diverging colour map.
 *
 * @param {Kernel} kernel
 */
export function isSigned(kernel) {
  const sum = flat(kernel).reduce((total, weight) => total + weight, 0);
  return Math.min(...flat(kernel)) < 0 && Math.abs(sum) < 0.5;
}

/**
 * The response at which colours saturate: a quarter of the largest possible response, whatever the
 * photo, so that kernels can be compared. Few edges are sharp enough to reach it.
 *
 * @param {Kernel} kernel
 */
export function colourLimit(kernel) {
  return flat(kernel).reduce((total, weight) => total + Math.abs(weight), 0) / 4 || 1;
}

/**
 * A diverging colour map: 256 RGB colours from `below` via near white to `above`.
 *
 * @param {string} below as #RRGGBB
 * @param {string} above
 */
export function divergingColours(below, above) {
  const ends = [below, "#F7F7F7", above].map(parseColour);
  const colours = new Uint8ClampedArray(3 * 256);
  for (let index = 0; index < 256; index++) {
    const position = (2 * index) / 255;
    const [from, to] = position < 1 ? [ends[0], ends[1]] : [ends[1], ends[2]];
    const fraction = position < 1 ? position : position - 1;
    for (let channel = 0; channel < 3; channel++) {
      colours[3 * index + channel] = from[channel] + fraction * (to[channel] - from[channel]);
    }
  }
  return colours;
}

/** @param {string} colour as #RRGGBB */
export function parseColour(colour) {
  return [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
}

/**
 * RGBA of a response: in the diverging colour map if the kernel is signed, else grey.
 *
 * @param {Picture} response
 * @param {Kernel} kernel
 * @param {Uint8ClampedArray} colours from divergingColours
 */
export function colourResponse({ data }, kernel, colours) {
  const pixels = new Uint8ClampedArray(4 * data.length);
  const signed = isSigned(kernel);
  const limit = colourLimit(kernel);
  data.forEach((value, i) => {
    const at = signed ? colourIndex(value / limit) : 0;
    for (let channel = 0; channel < 3; channel++) {
      pixels[4 * i + channel] = signed ? colours[3 * at + channel] : 255 * value;
    }
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}

/** The index in the colour map of a value. @param {number} value in [-1, 1], clamped */
export function colourIndex(value) {
  return Math.floor(Math.min(Math.max(value, -1), 1) * 127.5 + 127.5);
}

/**
 * Zero-pads a kernel to a larger side, or crops it to its centre.
 *
 * @param {Kernel} kernel
 * @param {number} side
 */
export function resizeKernel(kernel, side) {
  const shift = (side - kernel.length) / 2;
  return Array.from({ length: side }, (_, i) =>
    Array.from({ length: side }, (_, j) => kernel[i - shift]?.[j - shift] ?? 0),
  );
}

/** A number with the minus sign U+2212 and at most two decimals. @param {number} value */
export function formatNumber(value) {
  const text = String(Number(value.toFixed(2)));
  return text === "-0" ? "0" : text.replace("-", "−");
}
