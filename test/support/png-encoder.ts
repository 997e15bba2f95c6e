/**
 * A PNG encoder for tests, written from the PNG specification alone, so that what it makes checks a
 * decoder and does not echo it: every colour type and depth, Adam7, all five filters, split IDAT.
 */

import { crc32, deflateSync } from "node:zlib";

/** 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA. */
export type ColourType = 0 | 2 | 3 | 4 | 6;
export type BitDepth = 1 | 2 | 4 | 8 | 16;

/** The parts of a PNG that its header states. */
export interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly colourType: ColourType;
  readonly depth: BitDepth;
  readonly interlaced: boolean;
}

/** A PNG before encoding: its header, and its stored values. */
export interface PngSpec extends PngHeader {
  /** Stored values, channels interleaved, row by row; indices into the palette for colour type 3. */
  readonly samples: Uint16Array;
  /** `[red, green, blue]`, 8 bits each; colour type 3 needs it. */
  readonly palette?: readonly (readonly number[])[];
  /** The content of a tRNS chunk. */
  readonly transparency?: Uint8Array;
  /** `"cycle"` (the default) gives the rows the five filter types in turn. */
  readonly filters?: "none" | "cycle";
  /** zlib level, 6 unless told. */
  readonly level?: number;
}

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const channelCounts = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const;

/** [first column, first row, column step, row step] of each Adam7 pass. */
const adam7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;
const wholePicture = [[0, 0, 1, 1]] as const;

/** How many values a pixel of this colour type has. */
export function channelCount(colourType: ColourType): number {
  return channelCounts[colourType];
}

/** One chunk: length, type, content and CRC. */
export function pngChunk(type: string, content: Uint8Array): Buffer {
  const chunk = Buffer.alloc(content.length + 12);
  chunk.writeUInt32BE(content.length, 0);
  chunk.write(type, 4, "latin1");
  chunk.set(content, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, content.length + 8)), content.length + 8);
  return chunk;
}

/** The signature and the IHDR chunk; nothing is checked, so that tests can lie. */
export function pngStart(header: PngHeader): Buffer {
  const content = Buffer.alloc(13);
  content.writeUInt32BE(header.width, 0);
  content.writeUInt32BE(header.height, 4);
  content[8] = header.depth;
  content[9] = header.colourType;
  content[12] = header.interlaced ? 1 : 0;
  return Buffer.concat([signature, pngChunk("IHDR", content)]);
}

/** The file around a finished zlib stream, its data in `partCount` IDAT chunks. */
export function assemblePng(
  spec: Omit<PngSpec, "samples">,
  stream: Uint8Array,
  partCount = 3,
): Buffer {
  const chunks = [pngStart(spec)];
  if (spec.palette) chunks.push(pngChunk("PLTE", Uint8Array.from(spec.palette.flat())));
  if (spec.transparency) chunks.push(pngChunk("tRNS", spec.transparency));
  for (let part = 0; part < partCount; part++) {
    const start = Math.floor((stream.length * part) / partCount);
    const end = Math.floor((stream.length * (part + 1)) / partCount);
    chunks.push(pngChunk("IDAT", stream.subarray(start, end)));
  }
  chunks.push(pngChunk("IEND", new Uint8Array(0)));
  return Buffer.concat(chunks);
}

/** The bytes of a PNG file with exactly these stored values. */
export function encodePng(spec: PngSpec): Buffer {
  return assemblePng(spec, deflateSync(filteredRows(spec), { level: spec.level ?? 6 }));
}

/** What goes into the zlib stream: each row's filter type and filtered bytes, pass after pass. */
export function filteredRows(spec: PngSpec): Buffer {
  const channels = channelCount(spec.colourType);
  const pixelBytes = Math.max(1, (channels * spec.depth) / 8);
  const rows: Uint8Array[] = [];
  for (const [firstX, firstY, stepX, stepY] of spec.interlaced ? adam7 : wholePicture) {
    const passWidth = Math.ceil((spec.width - firstX) / stepX);
    const passHeight = Math.ceil((spec.height - firstY) / stepY);
    // A pass without a column has no rows either, not even their filter bytes.
    if (passWidth <= 0 || passHeight <= 0) continue;
    let above = new Uint8Array(Math.ceil((passWidth * channels * spec.depth) / 8));
    for (let passY = 0; passY < passHeight; passY++) {
      const values = new Uint16Array(passWidth * channels);
      for (let passX = 0; passX < passWidth; passX++) {
        const pixel = (firstY + passY * stepY) * spec.width + firstX + passX * stepX;
        values.set(
          spec.samples.subarray(pixel * channels, (pixel + 1) * channels),
          passX * channels,
        );
      }
      const row = packRow(values, spec.depth);
      const type = spec.filters === "none" ? 0 : rows.length % 5;
      rows.push(filterRow(row, above, type, pixelBytes));
      above = row;
    }
  }
  return Buffer.concat(rows);
}

/** Values of `depth` bits side by side, the leftmost in the highest bits; 16-bit ones big-endian. */
export function packRow(values: Uint16Array, depth: BitDepth): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(Math.ceil((values.length * depth) / 8));
  for (const [index, value] of values.entries()) {
    const bit = index * depth;
    if (depth === 16) {
      row[index * 2] = value >> 8;
      row[index * 2 + 1] = value & 0xff;
    } else {
      row[bit >> 3] = (row[bit >> 3] ?? 0) | (value << (8 - depth - (bit & 7)));
    }
  }
  return row;
}

/** The filter type's byte, then the row less its prediction; `above` is the row before, unfiltered. */
export function filterRow(
  row: Uint8Array,
  above: Uint8Array,
  type: number,
  pixelBytes: number,
): Uint8Array {
  const filtered = new Uint8Array(row.length + 1);
  filtered[0] = type;
  for (let index = 0; index < row.length; index++) {
    const left = row[index - pixelBytes] ?? 0;
    const up = above[index] ?? 0;
    const upLeft = above[index - pixelBytes] ?? 0;
    filtered[index + 1] = (row[index] ?? 0) - predict(type, left, up, upLeft);
  }
  return filtered;
}

function predict(type: number, left: number, up: number, upLeft: number): number {
  if (type === 1) return left;
  if (type === 2) return up;
  if (type === 3) return (left + up) >> 1;
  if (type === 4) return paeth(left, up, upLeft);
  return 0;
}

function paeth(left: number, up: number, upLeft: number): number {
  const estimate = left + up - upLeft;
  const toLeft = Math.abs(estimate - left);
  const toUp = Math.abs(estimate - up);
  const toUpLeft = Math.abs(estimate - upLeft);
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}
