/**
 * Made-up pictures for tests: structure that has edges (a gradient, a disc, a bar, stripes) and a
 * little noise, from a seed, in every type of PNG that the specification allows.
 */

import { createDeflate } from "node:zlib";

import { assemblePng, channelCount, encodePng, filterRow, packRow } from "./png-encoder.ts";
import type { BitDepth, ColourType, PngSpec } from "./png-encoder.ts";

/** A PNG that a test can name and encode. */
export interface TestPicture {
  /** Such as `"rgb 16 interlaced 257×131"`. */
  readonly name: string;
  readonly spec: PngSpec;
}

/** The 15 pairs of colour type and depth that PNG allows. */
export const pngTypes: readonly (readonly [ColourType, BitDepth])[] = [
  [0, 1],
  [0, 2],
  [0, 4],
  [0, 8],
  [0, 16],
  [2, 8],
  [2, 16],
  [3, 1],
  [3, 2],
  [3, 4],
  [3, 8],
  [4, 8],
  [4, 16],
  [6, 8],
  [6, 16],
];

/** Sizes where passes are empty, rows do not fill their bytes, and an edge is one pixel away. */
export const pictureSizes: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 29],
  [29, 1],
  [8, 8],
  [257, 131],
];

const typeNames = { 0: "gray", 2: "rgb", 3: "palette", 4: "gray-alpha", 6: "rgba" } as const;

/** Numbers in 0…1 from a seed: the same ones on every machine (a 32-bit mulberry generator). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every type, interlaced and not, at every size (or at the sizes given). */
export function everyPngType(sizes = pictureSizes): TestPicture[] {
  const pictures: TestPicture[] = [];
  for (const [width, height] of sizes) {
    for (const [colourType, depth] of pngTypes) {
      for (const interlaced of [false, true]) {
        pictures.push(makePicture(width, height, colourType, depth, interlaced));
      }
    }
  }
  return pictures;
}

/** One picture with structure; the seed follows from its type and size unless given. */
export function makePicture(
  width: number,
  height: number,
  colourType: ColourType,
  depth: BitDepth,
  interlaced = false,
  seed = width * 31 + height * 17 + colourType * 5 + depth,
): TestPicture {
  const random = seededRandom(seed);
  const channels = channelCount(colourType);
  const palette = colourType === 3 ? makePalette(depth, random) : undefined;
  // Fewer colours than the depth could name are usual in real files.
  const maximum = palette ? palette.length - 1 : 2 ** depth - 1;
  const samples = new Uint16Array(width * height * channels);
  for (let index = 0; index < samples.length; index++) {
    const pixel = Math.floor(index / channels);
    const x = ((pixel % width) + 0.5) / width;
    const y = (Math.floor(pixel / width) + 0.5) / height;
    const value = shade(x, y, index % channels) + (random() - 0.5) * 0.04;
    samples[index] = Math.round(Math.min(1, Math.max(0, value)) * maximum);
  }
  const name = `${typeNames[colourType]} ${depth}${interlaced ? " interlaced" : ""} ${width}×${height}`;
  const spec = { width, height, colourType, depth, interlaced, samples };
  return { name, spec: palette ? { ...spec, palette } : spec };
}

/** Pictures with a tRNS chunk; it says nothing about the stored colours, and must not change them. */
export function transparentPictures(width = 45, height = 37): TestPicture[] {
  const transparent: TestPicture[] = [];
  for (const [colourType, depth] of pngTypes) {
    if (colourType >= 4) continue;
    for (const interlaced of [false, true]) {
      const { name, spec } = makePicture(width, height, colourType, depth, interlaced);
      // The colour of the middle pixel: one that occurs.
      const middle = Math.floor((width * height) / 2) * channelCount(colourType);
      const key = spec.samples.subarray(middle, middle + channelCount(colourType));
      const transparency =
        colourType === 3
          ? Uint8Array.from([0, 128])
          : Uint8Array.from([...key].flatMap((v) => [v >> 8, v & 0xff]));
      transparent.push({ name: `${name} with tRNS`, spec: { ...spec, transparency } });
    }
  }
  return transparent;
}

/**
 * Pictures whose edge maps are black by definition: one colour, and steps so small (one level in
 * 65535) that the largest magnitude stays under 1e-3.
 */
export function flatPictures(width = 33, height = 21): TestPicture[] {
  const flat = new Uint16Array(width * height * 3).fill(200);
  const faint = Uint16Array.from(
    { length: width * height },
    (_, index) => 30_000 + (index % 7 === 0 ? 5 : 0),
  );
  const shape = { width, height, interlaced: false };
  return [
    { name: "one colour", spec: { ...shape, colourType: 2, depth: 8, samples: flat } },
    { name: "faint steps", spec: { ...shape, colourType: 0, depth: 16, samples: faint } },
  ];
}

/**
 * A large 16-bit RGBA PNG. Rows are made, filtered and deflated one at a time, so that it takes
 * little more memory than the file.
 */
export async function bigPicture(width: number, height: number, seed = 1): Promise<Buffer> {
  const random = seededRandom(seed);
  const deflate = createDeflate({ level: 1 });
  const parts: Buffer[] = [];
  deflate.on("data", (part: Buffer) => parts.push(part));
  const finished = new Promise<void>((resolve, reject) => {
    deflate.on("end", resolve);
    deflate.on("error", reject);
  });
  const row = new Uint16Array(width * 4);
  let above = new Uint8Array(width * 8);
  for (let y = 0; y < height; y++) {
    fillBigRow(row, y / height, random);
    const packed = packRow(row, 16);
    // Filter "up" leaves mostly zeros, because every row resembles the one above.
    if (!deflate.write(filterRow(packed, above, 2, 8)))
      await new Promise((resolve) => deflate.once("drain", resolve));
    above = packed;
  }
  deflate.end();
  await finished;
  return assemblePng(
    { width, height, colourType: 6, depth: 16, interlaced: false },
    Buffer.concat(parts),
    8,
  );
}

/** One row of the big picture: vertical stripes and a disc, and a few speckles of full depth. */
function fillBigRow(row: Uint16Array, y: number, random: () => number): void {
  const width = row.length / 4;
  for (let column = 0; column < width; column++) {
    const x = column / width;
    const inside = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.1;
    row[column * 4] = Math.floor(x * 40_000) + (inside ? 20_000 : 0);
    row[column * 4 + 1] = Math.floor(x * 60) % 2 === 0 ? 12_345 : 54_321;
    row[column * 4 + 2] = inside ? 1_000 : 50_000;
    row[column * 4 + 3] = 65_535;
  }
  for (let speckle = 0; speckle < width / 100; speckle++) {
    row[Math.floor(random() * row.length)] = Math.floor(random() * 65_536);
  }
}

/** Brightness at a point of the unit square, a little different for each channel. */
function shade(x: number, y: number, channel: number): number {
  const disc = (x - 0.35) ** 2 + (y - 0.4) ** 2 < 0.05 ? 0.35 : 0;
  const bar = x > 0.6 && x < 0.8 && y > 0.15 && y < 0.9 ? 0.3 - 0.15 * channel : 0;
  const stripes = Math.floor((x + 2 * y) * 9 + channel) % 3 === 0 ? 0.12 : 0;
  return 0.1 + 0.3 * (channel % 2 === 0 ? x : y) + disc + bar + stripes;
}

function makePalette(depth: BitDepth, random: () => number): number[][] {
  const entryCount = depth === 8 ? 200 : depth === 4 ? 13 : 2 ** depth;
  return Array.from({ length: entryCount }, () => [0, 1, 2].map(() => Math.floor(random() * 256)));
}

/** The bytes of a made-up picture. */
export function pictureFile(picture: TestPicture): Buffer {
  return encodePng(picture.spec);
}
