/** The main job of the demo, on a picture of random colours. */

import type { BenchCase } from "../core/contract.ts";
import { dataOf, randomTensor, read, wholeOutput } from "./shapes.ts";
import type { Inputs, Values } from "./shapes.ts";

export const edgeMapSigma = 2;

/** Weights of a Gaussian out to three sigma on each side; their sum is 1. */
export function gaussian(sigma: number): Float32Array<ArrayBuffer> {
  const radius = Math.ceil(3 * sigma);
  const weights = Float64Array.from({ length: 2 * radius + 1 }, (_, index) =>
    Math.exp(-((index - radius) ** 2) / (2 * sigma * sigma)),
  );
  const total = weights.reduce((a, b) => a + b, 0);
  return Float32Array.from(weights, (weight) => weight / total);
}

type At = (y: number, x: number) => number;

/** Reads past an edge repeat the edge. */
function clamped(pixels: ArrayLike<number>, height: number, width: number): At {
  const within = (at: number, extent: number): number => Math.min(Math.max(at, 0), extent - 1);
  return (y, x) => pixels[within(y, height) * width + within(x, width)]!;
}

function mapped(height: number, width: number, at: At): Float64Array {
  return Float64Array.from({ length: height * width }, (_, index) =>
    at(Math.floor(index / width), index % width),
  );
}

function edges(inputs: Inputs, values: Values): Float64Array {
  const [height, width] = read(values, "height", "width");
  const [picture, taps] = [dataOf(inputs, "picture"), dataOf(inputs, "taps")];
  const radius = (taps.length - 1) / 2;
  const weigh = (at: (offset: number) => number): number => {
    let sum = 0;
    for (let tap = 0; tap < taps.length; tap++) sum += taps[tap]! * at(tap - radius);
    return sum;
  };
  const luma = mapped(height, width, (y, x) => {
    const first = (y * width + x) * 3;
    return 0.2126 * picture[first]! + 0.7152 * picture[first + 1]! + 0.0722 * picture[first + 2]!;
  });
  const source = clamped(luma, height, width);
  const across = clamped(
    mapped(height, width, (y, x) => weigh((offset) => source(y, x + offset))),
    height,
    width,
  );
  const at = clamped(
    mapped(height, width, (y, x) => weigh((offset) => across(y + offset, x))),
    height,
    width,
  );
  const magnitudes = mapped(height, width, (y, x) => {
    const rising = at(y + 1, x + 1) - at(y - 1, x - 1);
    const falling = at(y - 1, x + 1) - at(y + 1, x - 1);
    const gx = rising + falling + 2 * (at(y, x + 1) - at(y, x - 1));
    const gy = rising - falling + 2 * (at(y + 1, x) - at(y - 1, x));
    return Math.hypot(gx, gy);
  });
  const highest = magnitudes.reduce((a, b) => Math.max(a, b), 0);
  return magnitudes.map((value) => value / highest);
}

export const edgeMapCases: readonly BenchCase[] = [
  {
    suite: "end-to-end",
    name: "edge map",
    about:
      "picture [height, width, 3] in [0, 1): luma (0.2126, 0.7152, 0.0722), a Gaussian along x and along y " +
      "(weights in taps), both filters of Sobel, their magnitude, over the largest; beyond an edge the edge repeats",
    sizes: [
      { label: "256x256", values: { height: 256, width: 256 }, quick: true },
      { label: "512x768", values: { height: 512, width: 768 } },
      { label: "2000x3000", values: { height: 2000, width: 3000 } },
    ],
    tolerance: "picture",
    work: ({ height = 0, width = 0 }) => ({ bytes: 16 * height * width }),
    inputs({ height = 0, width = 0 }, random) {
      const data = gaussian(edgeMapSigma);
      return {
        picture: randomTensor(random, [height, width, 3], 0, 1),
        taps: { shape: [data.length], data },
      };
    },
    expected: (inputs, values) => [
      wholeOutput([values["height"] ?? 0, values["width"] ?? 0], () => edges(inputs, values)),
    ],
  },
];
