/**
 * Converts pictures between float32 planes (channels x height x width) and canvas pixels.
 *
 * @typedef {{data: Float32Array, channels: number, height: number, width: number}} Picture values in
 *   [0, 1], planar (CHW)
 */

import { loadAsset } from "../runtime/assets.js";

/**
 * @param {number} channels
 * @param {number} height
 * @param {number} width
 * @returns {Picture}
 */
export function emptyPicture(channels, height, width) {
  return { data: new Float32Array(channels * height * width), channels, height, width };
}

/**
 * RGBA bytes of a picture with one or three channels; values are clamped.
 *
 * @param {Picture} picture
 */
export function toPixels({ data, channels, height, width }) {
  const count = height * width;
  const pixels = new Uint8ClampedArray(4 * count);
  const green = channels === 1 ? 0 : count;
  for (let i = 0; i < count; i++) {
    pixels[4 * i] = 255 * data[i];
    pixels[4 * i + 1] = 255 * data[i + green];
    pixels[4 * i + 2] = 255 * data[i + 2 * green];
    pixels[4 * i + 3] = 255;
  }
  return pixels;
}

/**
 * @param {{data: Uint8ClampedArray, height: number, width: number}} image RGBA
 * @returns {Picture}
 */
export function fromPixels({ data, height, width }) {
  const picture = emptyPicture(3, height, width);
  const count = height * width;
  for (let i = 0; i < count; i++) {
    for (let channel = 0; channel < 3; channel++) {
      picture.data[channel * count + i] = data[4 * i + channel] / 255;
    }
  }
  return picture;
}

/**
 * The luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), one channel.
 *
 * @param {Picture} picture three channels
 * @returns {Picture}
 */
export function toGrey({ data, height, width }) {
  const grey = emptyPicture(1, height, width);
  const count = height * width;
  for (let i = 0; i < count; i++) {
    grey.data[i] = 0.299 * data[i] + 0.587 * data[i + count] + 0.114 * data[i + 2 * count];
  }
  return grey;
}

/**
 * Enlarges by an integer factor with nearest-neighbour sampling.
 *
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 */
export function enlarge(pixels, width, height, scale) {
  const large = new Uint8ClampedArray(pixels.length * scale * scale);
  const from = new Uint32Array(pixels.buffer, pixels.byteOffset, width * height);
  const to = new Uint32Array(large.buffer);
  for (let i = 0; i < to.length; i++) {
    const row = Math.floor(i / (width * scale) / scale);
    to[i] = from[row * width + Math.floor((i % (width * scale)) / scale)];
  }
  return large;
}

/**
 * Draws a picture on a canvas, which gets the picture's size; without a canvas on a new one.
 *
 * @param {Picture} picture
 * @param {HTMLCanvasElement} [canvas]
 */
export function draw(picture, canvas = document.createElement("canvas")) {
  return drawPixels(toPixels(picture), picture.width, picture.height, canvas);
}

/**
 * @param {Uint8ClampedArray} pixels RGBA
 * @param {number} width
 * @param {number} height
 * @param {HTMLCanvasElement} canvas
 */
export function drawPixels(pixels, width, height, canvas) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const image = new ImageData(width, height);
  image.data.set(pixels);
  context(canvas).putImageData(image, 0, 0);
  return canvas;
}

/** @param {HTMLCanvasElement} canvas */
export function context(canvas) {
  const ctx = canvas.getContext("2d", { willReadFrequently: true });
  if (!ctx) throw new Error("This browser can't draw on a canvas, so this demo can't run here.");
  return ctx;
}

/**
 * Crops the centre square and resizes it to `side` pixels.
 *
 * @param {CanvasImageSource & {width: number, height: number}} source
 * @param {number} side
 * @param {{width: number, height: number}} [size] of the source
 * @returns {Picture}
 */
export function squareOf(source, side, size = source) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const ctx = context(canvas);
  ctx.imageSmoothingQuality = "high";
  ctx.fillStyle = "white"; // behind transparent pixels, as in course_lib.data.image_files
  ctx.fillRect(0, 0, side, side);
  const crop = Math.min(size.width, size.height);
  const left = (size.width - crop) / 2;
  ctx.drawImage(source, left, (size.height - crop) / 2, crop, crop, 0, 0, side, side);
  return fromPixels(ctx.getImageData(0, 0, side, side));
}

/**
 * Decodes an image asset. The pixels of an <img> can't be read under file://.
 *
 * @param {string} name of the asset
 */
export async function loadBitmap(name) {
  const bytes = await loadAsset(name);
  return createImageBitmap(new Blob([/** @type {BlobPart} */ (bytes)]));
}
