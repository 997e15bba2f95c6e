/**
 * PNG files in and out, in Node and in browsers alike, over pngjs. This file checks what pngjs
 * takes on trust, and turns every failure into a {@link PictureError}.
 */

import { PNG } from "pngjs";

/** A decoded picture: values as the file stores them, not scaled, not multiplied by alpha. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /**
   * Red, green, blue, alpha of each pixel, row by row; gray is repeated into all three colours, and
   * palette indices are looked up. Transparency by palette or key colour (tRNS) is not applied.
   */
  readonly samples: Uint8Array | Uint16Array;
  /** The value that stands for 1.0: 2^depth − 1, and 255 for pictures with a palette. */
  readonly maximum: number;
  /** As PNG counts: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGBA. */
  readonly colourType: number;
  /** Bits of a stored value, or of a palette index. */
  readonly depth: number;
  readonly interlaced: boolean;
}

/** A file that is not a readable PNG; `message` says what is wrong with it, for people. */
export class PictureError extends Error {
  override readonly name = "PictureError";
}

/** The decoder's working memory for larger pictures would not fit into one process. */
const maximumDecodedBytes = 2 ** 31;
/** pngjs computes the bits of a row in 32 bits. */
const maximumSide = 2 ** 24;

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** By colour type: values of a pixel, and the depths that PNG allows. */
const colourTypes = new Map([
  [0, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { channels: 3, depths: [8, 16] }],
  [3, { channels: 1, depths: [1, 2, 4, 8] }],
  [4, { channels: 2, depths: [8, 16] }],
  [6, { channels: 4, depths: [8, 16] }],
]);

interface Chunk {
  readonly type: string;
  readonly content: Uint8Array<ArrayBuffer>;
  /** With length, type and checksum. */
  readonly whole: Uint8Array<ArrayBuffer>;
}

type Header = Pick<Picture, "width" | "height" | "colourType" | "depth" | "interlaced">;

/**
 * Reads a PNG of any colour type and depth, interlaced or not. Takes about 30 bytes of host memory
 * per pixel while it works. Rejects with a {@link PictureError}, before anything is allocated where
 * the header asks for more than 2 GiB.
 */
export async function decodePng(bytes: Uint8Array): Promise<Picture> {
  const chunks = readChunks(new Uint8Array(bytes));
  const header = readHeader(chunks);
  await checkPixelStream(header, chunks);
  const decoded = readWithPngjs(header, chunks);
  // A plain view, because pngjs gives its own kind of Buffer.
  const samples =
    decoded instanceof Uint16Array
      ? decoded
      : new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.byteLength);
  return { ...header, samples, maximum: header.colourType === 3 ? 255 : 2 ** header.depth - 1 };
}

/** Writes an 8-bit gray PNG; `pixels` holds `width * height` bytes, row by row. */
export function encodeGrayPng(width: number, height: number, pixels: Uint8Array): Uint8Array {
  return encode(width, height, pixels, { channels: 1, name: "gray", colorType: 0 });
}

/** Writes the colours of 8-bit RGBA samples, four to a pixel, as an RGB PNG. */
export function encodeColourPng(width: number, height: number, samples: Uint8Array): Uint8Array {
  return encode(width, height, samples, { channels: 4, name: "RGBA", colorType: 2 });
}

function encode(
  width: number,
  height: number,
  samples: Uint8Array,
  { channels, name, colorType }: { channels: 1 | 4; name: string; colorType: 0 | 2 },
): Uint8Array {
  const byteLength = width * height * channels;
  if (samples.length !== byteLength) {
    throw new PictureError(
      `${name} samples of a picture of ${width}×${height} are ${byteLength} bytes, not ${samples.length}`,
    );
  }
  // Not `new PNG(...)`: that would allocate four bytes per pixel first.
  const picture = { width, height, data: asBuffer(samples) } as PNG;
  const file = PNG.sync.write(picture, {
    colorType,
    inputColorType: channels === 4 ? 6 : 0,
    inputHasAlpha: channels === 4,
    deflateLevel: 6,
  });
  return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
}

/** Splits the file at its chunk boundaries, up to IEND; what follows that is ignored, as usual. */
function readChunks(file: Uint8Array<ArrayBuffer>): Chunk[] {
  if (file.length === 0) throw new PictureError("the file is empty, not a PNG");
  if (signature.some((byte, index) => file[index] !== byte)) {
    throw new PictureError(
      "not a PNG: the file does not begin with the PNG signature; convert the picture to PNG first",
    );
  }
  const view = new DataView(file.buffer);
  const chunks: Chunk[] = [];
  let offset = signature.length;
  while (chunks.at(-1)?.type !== "IEND") {
    const end = offset + 8 <= file.length ? offset + 12 + view.getUint32(offset) : Infinity;
    if (end > file.length) {
      throw new PictureError(
        `the PNG is cut off: it ends after ${file.length} bytes, inside or before a chunk`,
      );
    }
    const type = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    chunks.push({
      type,
      content: file.subarray(offset + 8, end - 4),
      whole: file.subarray(offset, end),
    });
    offset = end;
  }
  return chunks;
}

function readHeader(chunks: readonly Chunk[]): Header {
  const content = chunks[0]?.content;
  if (chunks[0]?.type !== "IHDR" || content?.length !== 13) {
    throw new PictureError(
      "the PNG is damaged: it does not begin with a header (IHDR) of 13 bytes",
    );
  }
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const width = view.getUint32(0);
  const height = view.getUint32(4);
  const depth = view.getUint8(8);
  const colourType = view.getUint8(9);
  const compression = view.getUint8(10);
  const filter = view.getUint8(11);
  const interlace = view.getUint8(12);
  if (width === 0 || height === 0)
    throw new PictureError(`the PNG's header says ${width}×${height}: it has no pixels`);
  if (width > maximumSide || height > maximumSide || width * height * 8 > maximumDecodedBytes) {
    throw new PictureError(
      `the PNG's header says ${width}×${height}, which is more than can be decoded here ` +
        `(at most ${maximumDecodedBytes / 8} pixels, and ${maximumSide} a side); use a smaller picture`,
    );
  }
  if (!colourTypes.get(colourType)?.depths.includes(depth)) {
    throw new PictureError(
      `the PNG's header says colour type ${colourType} with ${depth} bits, which PNG does not have`,
    );
  }
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    throw new PictureError(
      `the PNG's header says compression ${compression}, filter ${filter}, interlace ${interlace}, which PNG does not have`,
    );
  }
  return { width, height, colourType, depth, interlaced: interlace === 1 };
}

/**
 * Inflates the pixel data once only to see that it is whole. pngjs's synchronous reader misses the
 * errors of today's zlib, and would go on with uninitialised memory in the place of pixels.
 */
async function checkPixelStream(header: Header, chunks: readonly Chunk[]): Promise<void> {
  const parts = chunks.filter((chunk) => chunk.type === "IDAT").map((chunk) => chunk.content);
  if (parts.length === 0) throw new PictureError("the PNG is damaged: it has no pixel data (IDAT)");
  const expectedBytes = pixelStreamBytes(header);
  let inflatedBytes = 0;
  try {
    const reader = new Blob(parts)
      .stream()
      .pipeThrough(new DecompressionStream("deflate"))
      .getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      inflatedBytes += part.value.length;
      // Stop here, so that a small file cannot claim all memory.
      if (inflatedBytes > expectedBytes) {
        await reader.cancel();
        break;
      }
    }
  } catch (cause) {
    throw new PictureError(
      `the PNG is damaged: its pixel data cannot be inflated (${messageOf(cause)})`,
      { cause },
    );
  }
  if (inflatedBytes !== expectedBytes) {
    const found = inflatedBytes > expectedBytes ? "more" : `only ${inflatedBytes}`;
    throw new PictureError(
      `the PNG is damaged: ${header.width}×${header.height} pixels take ${expectedBytes} bytes of data, and it holds ${found}`,
    );
  }
}

/** Bytes of all rows before compression, with a filter byte each. */
function pixelStreamBytes({ width, height, colourType, depth, interlaced }: Header): number {
  const pixelBits = (colourTypes.get(colourType)?.channels ?? 0) * depth;
  // [first column, first row, column step, row step] of the seven passes of Adam7.
  const passes = interlaced
    ? [
        [0, 0, 8, 8],
        [4, 0, 8, 8],
        [0, 4, 4, 8],
        [2, 0, 4, 4],
        [0, 2, 2, 4],
        [1, 0, 2, 2],
        [0, 1, 1, 2],
      ]
    : [[0, 0, 1, 1]];
  let byteCount = 0;
  for (const [firstX = 0, firstY = 0, stepX = 1, stepY = 1] of passes) {
    const columnCount = Math.max(0, Math.ceil((width - firstX) / stepX));
    const rowCount = Math.max(0, Math.ceil((height - firstY) / stepY));
    if (columnCount > 0) byteCount += rowCount * (1 + Math.ceil((columnCount * pixelBits) / 8));
  }
  return byteCount;
}

/** pngjs on the chunks that matter here, and no others; it checks their checksums. */
function readWithPngjs(header: Header, chunks: readonly Chunk[]): Uint8Array | Uint16Array {
  const needed =
    header.colourType === 3 ? ["IHDR", "PLTE", "IDAT", "IEND"] : ["IHDR", "IDAT", "IEND"];
  // A capital first letter means that the picture cannot be read without knowing the chunk.
  const unknown = chunks.find(
    ({ type }) => !/^[a-z]/.test(type) && type !== "PLTE" && !needed.includes(type),
  );
  if (unknown)
    throw new PictureError(
      `the PNG is damaged, or newer than this decoder: it has a chunk "${unknown.type}"`,
    );
  // tRNS stays out: pngjs would blacken the pixels of the key colour.
  const kept = chunks.filter(({ type }) => needed.includes(type));
  for (const type of ["IHDR", "PLTE"]) {
    if (kept.filter((chunk) => chunk.type === type).length > 1) {
      throw new PictureError(`the PNG is damaged: it has more than one ${type} chunk`);
    }
  }
  const file = new Uint8Array(
    kept.reduce((total, { whole }) => total + whole.length, signature.length),
  );
  file.set(signature);
  let offset = signature.length;
  for (const { whole } of kept) {
    file.set(whole, offset);
    offset += whole.length;
  }
  try {
    // With skipRescale the array has 16 bits where the file has, which pngjs's types do not say.
    const samples: Uint8Array | Uint16Array = PNG.sync.read(asBuffer(file), {
      skipRescale: true,
    }).data;
    return samples;
  } catch (cause) {
    const message = messageOf(cause);
    // pngjs stops at a wrong checksum, and then complains of what it has not read; nothing else is
    // left here that would make it stop, because the chunks and the pixel data are known to be whole.
    const isChecksum =
      message.startsWith("Crc error") || message.startsWith("unrecognised content");
    const reason = isChecksum ? "a checksum (CRC) does not match its chunk" : message;
    throw new PictureError(`the PNG is damaged: ${reason}`, { cause });
  }
}

/** The bytes as the Buffer that pngjs works with: Node's, or the one inside its browser bundle. */
function asBuffer(bytes: Uint8Array): Buffer {
  // The bundle does not export its Buffer; the pixels of a picture are one.
  const { constructor } = new PNG({ width: 1, height: 1 }).data;
  return (constructor as typeof Buffer).from(
    bytes.buffer as ArrayBuffer,
    bytes.byteOffset,
    bytes.byteLength,
  );
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
