/**
 * The main job in float64, straight from its definition, and slowly: no code and no idea shared
 * with the kernels. Its input comes from the made-up samples, so that it checks the decoder too.
 */

import { channelCount } from "./png-encoder.ts";
import type { PngSpec } from "./png-encoder.ts";

/** Red, green and blue of each pixel, 0…1, row by row. */
export interface ReferenceInput {
  readonly width: number;
  readonly height: number;
  readonly rgb: Float64Array;
}

/** What the main job should write. */
export interface EdgeMap {
  readonly pixels: Uint8Array;
  /** As found, before a maximum under 1e-3 is taken for 0. */
  readonly maxMagnitude: number;
}

/** The stored values of a made-up picture, scaled by depth (palette entries by 255), without alpha. */
export function referenceInput(spec: PngSpec): ReferenceInput {
  const { width, height, colourType, depth, samples } = spec;
  const channels = channelCount(colourType);
  const isGray = colourType === 0 || colourType === 4;
  const rgb = new Float64Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      let value = (samples[pixel * channels + (isGray ? 0 : colour)] ?? 0) / (2 ** depth - 1);
      if (colourType === 3) value = (spec.palette?.[samples[pixel] ?? 0]?.[colour] ?? 0) / 255;
      rgb[pixel * 3 + colour] = value;
    }
  }
  return { width, height, rgb };
}

/** The same from a decoded picture, for files that a test did not make. */
export function decodedInput(picture: {
  readonly width: number;
  readonly height: number;
  readonly samples: ArrayLike<number>;
  readonly maximum: number;
}): ReferenceInput {
  const { width, height, samples, maximum } = picture;
  const rgb = new Float64Array(width * height * 3);
  for (let index = 0; index < rgb.length; index++) {
    rgb[index] = (samples[Math.floor(index / 3) * 4 + (index % 3)] ?? 0) / maximum;
  }
  return { width, height, rgb };
}

/** Luma, Gaussian blur, Sobel, magnitude, division by the maximum, 8 bits. */
export function edgeReference({ width, height, rgb }: ReferenceInput, sigma = 2): EdgeMap {
  const luma = new Float64Array(width * height);
  for (let pixel = 0; pixel < luma.length; pixel++) {
    luma[pixel] =
      0.2126 * (rgb[pixel * 3] ?? 0) +
      0.7152 * (rgb[pixel * 3 + 1] ?? 0) +
      0.0722 * (rgb[pixel * 3 + 2] ?? 0);
  }
  const weights = gaussianWeights(sigma);
  const blurredX = weigh(luma, width, height, rowTaps(weights));
  const blurred = weigh(blurredX, width, height, columnTaps(weights));
  const gx = weigh(blurred, width, height, matrixTaps(sobelX));
  const gy = weigh(blurred, width, height, matrixTaps(transpose(sobelX)));

  const magnitude = gx.map((x, pixel) => Math.sqrt(x ** 2 + (gy[pixel] ?? 0) ** 2));
  const maxMagnitude = magnitude.reduce((largest, value) => Math.max(largest, value), 0);
  const pixels = new Uint8Array(magnitude.length);
  if (maxMagnitude >= 1e-3) {
    for (const [pixel, value] of magnitude.entries())
      pixels[pixel] = Math.round((255 * value) / maxMagnitude);
  }
  return { pixels, maxMagnitude };
}

/** The largest difference of two pictures, in levels; infinite where their sizes differ. */
export function maxDifference(actual: Uint8Array, expected: Uint8Array): number {
  if (actual.length !== expected.length) return Infinity;
  return actual.reduce(
    (largest, value, pixel) => Math.max(largest, Math.abs(value - (expected[pixel] ?? 0))),
    0,
  );
}

/** `[dx, dy, weight]`: what a neighbour adds to a pixel. */
type Tap = readonly [number, number, number];

const sobelX = [
  [-1, 0, 1],
  [-2, 0, 2],
  [-1, 0, 1],
];

/** exp(−i²/2σ²) for i in −⌈3σ⌉…⌈3σ⌉, made to add up to 1. */
function gaussianWeights(sigma: number): number[] {
  const radius = Math.ceil(3 * sigma);
  const raw = Array.from({ length: 2 * radius + 1 }, (_, index) =>
    Math.exp(-((index - radius) ** 2) / (2 * sigma ** 2)),
  );
  const sum = raw.reduce((total, weight) => total + weight, 0);
  return raw.map((weight) => weight / sum);
}

function rowTaps(weights: number[]): Tap[] {
  return weights.map((weight, index) => [index - (weights.length - 1) / 2, 0, weight]);
}

function columnTaps(weights: number[]): Tap[] {
  return rowTaps(weights).map(([dx, dy, weight]) => [dy, dx, weight]);
}

function matrixTaps(matrix: number[][]): Tap[] {
  return matrix.flatMap((row, y) => row.map((weight, x): Tap => [x - 1, y - 1, weight]));
}

function transpose(matrix: number[][]): number[][] {
  return matrix.map((_, y) => matrix.map((row) => row[y] ?? 0));
}

/** Each pixel's weighted sum of its neighbours; beyond an edge, the edge pixel is repeated. */
function weigh(
  source: Float64Array,
  width: number,
  height: number,
  taps: readonly Tap[],
): Float64Array {
  const result = new Float64Array(source.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [dx, dy, weight] of taps) {
        const fromX = Math.min(width - 1, Math.max(0, x + dx));
        const fromY = Math.min(height - 1, Math.max(0, y + dy));
        sum += weight * (source[fromY * width + fromX] ?? 0);
      }
      result[y * width + x] = sum;
    }
  }
  return result;
}
