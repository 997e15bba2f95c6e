import { KiB, MiB } from "moorage/node";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

import { edgeMap } from "../../demo/edge-map.ts";
import { decodePng } from "../../demo/png.ts";
import type { Picture } from "../../demo/png.ts";
import { buffersCreated, openRuntime, useRuntime } from "../harness.ts";
import {
  decodedInput,
  edgeReference,
  maxDifference,
  referenceInput,
} from "../support/edge-reference.ts";
import type { ReferenceInput } from "../support/edge-reference.ts";
import { everyPngType, flatPictures, makePicture, pictureFile } from "../support/pictures.ts";

const runtime = useRuntime();

/** Runs the job on a file, and compares every pixel with the reference. */
async function compare(file: Uint8Array, input: ReferenceInput, sigma: number): Promise<void> {
  const { pixels, maxMagnitude } = await edgeMap(runtime(), await decodePng(file), { sigma });
  const expected = edgeReference(input, sigma);
  expect(maxDifference(pixels, expected.pixels)).toBeLessThanOrEqual(1);
  const counted = expected.maxMagnitude < 1e-3 ? 0 : expected.maxMagnitude;
  expect(maxMagnitude).toBeCloseTo(counted, 4);
}

describe("the edge map is that of the reference, to one level in every pixel", () => {
  test.each(everyPngType())("$name", async (picture) => {
    await compare(pictureFile(picture), referenceInput(picture.spec), 2);
  });

  test.each([0.01, 0.5, 5, 40])("sigma %d", async (sigma) => {
    const picture = makePicture(131, 67, 2, 8);
    await compare(pictureFile(picture), referenceInput(picture.spec), sigma);
  });

  test.each(flatPictures())("$name: black", async (picture) => {
    const { pixels, maxMagnitude } = await edgeMap(
      runtime(),
      await decodePng(pictureFile(picture)),
    );
    expect(pixels.every((level) => level === 0)).toBe(true);
    expect(maxMagnitude).toBe(0);
  });

  const folder = fileURLToPath(new URL("../../../shared/data/images/", import.meta.url));
  test.for(["astronaut.png", "camera.png", "palette_color.png"])(
    "%s of ../shared/data/images",
    async (name, { skip }) => {
      if (!existsSync(folder + name)) skip(`${folder + name} is not on this machine`);
      const file = readFileSync(folder + name);
      await compare(file, decodedInput(await decodePng(file)), 2);
    },
  );
});

describe("a run", () => {
  const samples = new Uint8Array(40 * 30 * 4).map((_, index) => (index * 7) % 256);
  const picture: Picture = {
    width: 40,
    height: 30,
    samples,
    maximum: 255,
    colourType: 6,
    depth: 8,
    interlaced: false,
  };

  test("tells its progress, stage by stage", async () => {
    const told: [number, string][] = [];
    const { stages } = await edgeMap(runtime(), picture, {
      onProgress: (done, stage) => told.push([done, stage]),
    });
    expect(told[0]).toEqual([0, "upload"]);
    expect(told.at(-1)).toEqual([1, "download"]);
    expect(told.map(([done]) => done)).toEqual(told.map(([done]) => done).sort((a, b) => a - b));
    expect([...new Set(told.map(([, stage]) => stage))]).toEqual(stages.map(({ name }) => name));
    for (const { ms, bytes } of stages) {
      expect(ms).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(0);
    }
  });

  // The harness looks for what they leave behind.
  test("ends at the next stage when it is aborted", async () => {
    const controller = new AbortController();
    const run = edgeMap(runtime(), picture, {
      signal: controller.signal,
      onProgress: (_, stage) => {
        if (stage === "sobel") controller.abort(new Error("enough"));
      },
    });
    await expect(run).rejects.toThrow("enough");
    await expect(edgeMap(runtime(), picture, { signal: controller.signal })).rejects.toThrow(
      "enough",
    );
  });

  test("leaves nothing behind when memory runs out half-way", async () => {
    const budget = { deviceBytes: 512 * KiB, pinnedBytes: MiB };
    const small = await openRuntime({ budget, slabBytes: 128 * KiB });
    try {
      const large = { ...picture, width: 300, height: 200, samples: new Uint8Array(300 * 200 * 4) };
      await expect(edgeMap(small, large)).rejects.toMatchObject({ code: "OUT_OF_MEMORY" });
      expect(small.live()).toEqual([]);
      await edgeMap(small, picture);
    } finally {
      await small.dispose();
    }
  });

  test.each([0, -1, Number.NaN, 334, Infinity])("refuses sigma %d at once", async (sigma) => {
    const before = buffersCreated();
    await expect(edgeMap(runtime(), picture, { sigma })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    expect(buffersCreated()).toBe(before);
  });
});
