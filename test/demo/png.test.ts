import { deflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";

import { PictureError, decodePng, encodeGrayPng } from "../../demo/png.ts";
import type { Picture } from "../../demo/png.ts";
import { decodedInput, edgeReference, referenceInput } from "../support/edge-reference.ts";
import {
  bigPicture,
  everyPngType,
  flatPictures,
  makePicture,
  pictureFile,
  transparentPictures,
} from "../support/pictures.ts";
import {
  assemblePng,
  channelCount,
  encodePng,
  filteredRows,
  pngChunk,
  pngStart,
} from "../support/png-encoder.ts";
import type { PngSpec } from "../support/png-encoder.ts";

/** What the decoder should give, from the stored values. */
function expectedPicture(spec: PngSpec): Picture {
  const { width, height, colourType, depth, interlaced, samples } = spec;
  const maximum = colourType === 3 ? 255 : 2 ** depth - 1;
  const channels = channelCount(colourType);
  const rgba =
    depth === 16 ? new Uint16Array(width * height * 4) : new Uint8Array(width * height * 4);
  for (let pixel = 0; pixel < width * height; pixel++) {
    const stored = [...samples.subarray(pixel * channels, (pixel + 1) * channels)];
    const [first = 0, second = maximum] = stored;
    if (colourType === 3) rgba.set([...(spec.palette?.[first] ?? []), maximum], pixel * 4);
    else if (channels <= 2) rgba.set([first, first, first, second], pixel * 4);
    else rgba.set(channels === 3 ? [...stored, maximum] : stored, pixel * 4);
  }
  return { width, height, colourType, depth, interlaced, maximum, samples: rgba };
}

const sizes = [
  [1, 1],
  [1, 29],
  [29, 1],
  [2, 3],
  [5, 5],
  [8, 8],
  [13, 7],
  [67, 41],
] as const;

describe("every type of PNG decodes to the values that it stores", () => {
  test.each(everyPngType(sizes))("$name", async ({ spec }) => {
    expect(await decodePng(encodePng(spec))).toEqual(expectedPicture(spec));
  });

  test.each(transparentPictures())("$name", async ({ spec }) => {
    expect(await decodePng(encodePng(spec))).toEqual(expectedPicture(spec));
  });

  test("unfiltered rows, and a file inside a larger buffer with bytes after its end", async () => {
    const { spec } = makePicture(31, 17, 2, 8);
    const file = encodePng({ ...spec, filters: "none" });
    const padded = new Uint8Array(file.length + 50).fill(7);
    padded.set(file, 13);
    expect(await decodePng(padded.subarray(13))).toEqual(expectedPicture(spec));
  });

  test("the picture written row by row", async () => {
    const picture = await decodePng(await bigPicture(400, 300));
    expect(picture).toMatchObject({ width: 400, height: 300, depth: 16, maximum: 65_535 });
    expect(edgeReference(decodedInput(picture)).maxMagnitude).toBeGreaterThan(0.1);
  });
});

test("the reference is the same from stored values and from decoded ones", async () => {
  for (const { spec } of everyPngType([[19, 23]])) {
    const stored = edgeReference(referenceInput(spec));
    expect(edgeReference(decodedInput(await decodePng(encodePng(spec))))).toEqual(stored);
    expect(stored.maxMagnitude).toBeGreaterThan(0.01);
  }
  for (const { spec } of flatPictures()) {
    expect(Math.max(...edgeReference(referenceInput(spec)).pixels)).toBe(0);
  }
});

test.each([...sizes, [257, 131] as const])(
  "a gray picture of %i×%i is written as it is",
  async (width, height) => {
    const pixels = Uint8Array.from({ length: width * height }, (_, index) => (index * 37) % 256);
    const picture = await decodePng(encodeGrayPng(width, height, pixels));
    expect(picture).toMatchObject({ width, height, colourType: 0, depth: 8, maximum: 255 });
    expect(picture.samples.filter((_, index) => index % 4 === 0)).toEqual(pixels);
  },
);

describe("bad input", () => {
  const { spec } = makePicture(40, 30, 0, 8);
  const good = encodePng(spec);
  const rows = filteredRows(spec);
  const stream = deflateSync(rows);
  const paletted = makePicture(9, 9, 3, 4).spec;

  function flipped(at: number): Uint8Array {
    const bytes = Uint8Array.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes;
  }
  function sized(width: number, height: number): Uint8Array {
    return assemblePng({ ...spec, width, height }, stream);
  }
  const withChunk = (type: string) =>
    Buffer.concat([good.subarray(0, 33), pngChunk(type, Buffer.from("12345")), good.subarray(33)]);

  test.each<[string, RegExp, Uint8Array]>([
    ["an empty file", /empty/, new Uint8Array(0)],
    ["a JPEG", /not a PNG/, Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 16, 74, 70, 73, 70])],
    ["half a signature", /not a PNG/, good.subarray(0, 4)],
    ["only the signature", /cut off/, good.subarray(0, 8)],
    ["a cut header", /cut off/, good.subarray(0, 20)],
    ["cut pixel data", /cut off/, good.subarray(0, good.length >> 1)],
    ["a file without its end", /cut off/, good.subarray(0, -12)],
    ["a file short of its last byte", /cut off/, good.subarray(0, -1)],
    ["a header with a wrong checksum", /checksum/, flipped(31)],
    ["pixel data with a wrong checksum", /checksum/, flipped(good.length - 13)],
    ["absurd dimensions", /100000×100000/, sized(100_000, 100_000)],
    ["an absurd width", /4294967295×1/, sized(2 ** 32 - 1, 1)],
    ["no pixels", /no pixels/, sized(0, 30)],
    ["too few rows", /take 1681 bytes of data, and it holds only 1230/, sized(40, 41)],
    ["too many rows", /holds more/, sized(40, 29)],
    [
      "a depth that the colour type lacks",
      /colour type 2 with 4 bits/,
      assemblePng({ ...spec, colourType: 2, depth: 4 }, stream),
    ],
    [
      "an unknown colour type",
      /colour type 5/,
      assemblePng({ ...spec, colourType: 5 as 6 }, stream),
    ],
    ["no pixel data", /no pixel data/, assemblePng(spec, stream, 0)],
    ["data that is not zlib's", /inflated/, assemblePng(spec, Buffer.from("not a zlib stream"))],
    ["half a zlib stream", /inflated/, assemblePng(spec, stream.subarray(0, stream.length >> 1))],
    [
      "a zlib stream with a wrong checksum",
      /inflated/,
      assemblePng(spec, Buffer.concat([stream.subarray(0, -1), Buffer.of(1)])),
    ],
    ["an unknown filter", /filter/, assemblePng(spec, deflateSync(Buffer.alloc(rows.length, 9)))],
    [
      "no palette",
      /palette/,
      assemblePng({ ...paletted, palette: [] }, deflateSync(filteredRows(paletted))),
    ],
    [
      "an index outside the palette",
      /not in palette/,
      encodePng({ ...paletted, palette: [[1, 2, 3]] }),
    ],
    ["two headers", /more than one IHDR/, Buffer.concat([pngStart(spec), good.subarray(8)])],
    ["an unknown critical chunk", /ABCD/, withChunk("ABCD")],
  ])("%s", async (_name, message, bytes) => {
    const error: unknown = await decodePng(bytes).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(PictureError);
    expect((error as PictureError).message).toMatch(message);
  });

  test("an unknown ancillary chunk is harmless", async () => {
    expect((await decodePng(withChunk("abCd"))).width).toBe(40);
  });

  test("a gray picture whose bytes do not fit its size", () => {
    expect(() => encodeGrayPng(3, 3, new Uint8Array(8))).toThrow(PictureError);
  });

  test("a made-up picture is the same each time", () => {
    expect(pictureFile(makePicture(9, 9, 6, 16))).toEqual(pictureFile(makePicture(9, 9, 6, 16)));
  });
});
