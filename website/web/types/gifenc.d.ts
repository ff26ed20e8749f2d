/** gifenc ships no types. These are the types of the functions that the demos use. */
declare module "gifenc" {
  type Palette = number[][];
  type Pixels = Uint8Array | Uint8ClampedArray;
  interface Encoder {
    writeFrame(
      index: Uint8Array,
      width: number,
      height: number,
      options: { palette: Palette; delay?: number; repeat?: number },
    ): void;
    finish(): void;
    bytes(): Uint8Array<ArrayBuffer>;
  }
  export function GIFEncoder(): Encoder;
  export function quantize(pixels: Pixels, colours: number): Palette;
  export function applyPalette(pixels: Pixels, palette: Palette): Uint8Array;
}
