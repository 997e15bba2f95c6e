import { MiB } from "moorage/node";
import type { OutOfMemoryError } from "moorage/node";
import { describe, expect, test } from "vitest";

import { edgeMap, runtimeOptionsFor } from "../../demo/edge-map.ts";
import { decodePng } from "../../demo/png.ts";
import { planStrips } from "../../demo/strips.ts";
import { buffersCreated, openRuntime, useRuntime } from "../harness.ts";
import { runWithin } from "../support/budget-run.ts";
import { caught } from "../support/caught.ts";
import { makePicture, pictureFile, seededRandom } from "../support/pictures.ts";

const unbounded = useRuntime();

describe("within a budget, the result is the same picture", () => {
  test.each([
    [640, 420, 6, 16, 2, 3],
    [640, 500, 2, 8, 2, 2.5],
    [333, 1201, 0, 16, 5, 3.5],
    [1201, 150, 6, 8, 0.5, 2],
    [3, 70_000, 0, 8, 2, 2],
    [12_000, 31, 6, 16, 1, 6.5],
  ] as const)(
    "%d×%d, type %d, %d bits, sigma %d, %d MiB",
    async (width, height, type, depth, sigma, mib) => {
      const picture = await decodePng(pictureFile(makePicture(width, height, type, depth)));
      const whole = await edgeMap(unbounded(), picture, { sigma });
      const { results, peakBytes, createdLater } = await runWithin(mib * MiB, picture, sigma);
      expect(whole.strips).toBe(1);
      expect(peakBytes).toBeLessThanOrEqual(mib * MiB);
      for (const { strips, pixels, maxMagnitude } of results) {
        expect(strips).toBeGreaterThanOrEqual(4);
        expect(maxMagnitude).toBe(whole.maxMagnitude);
        expect(Buffer.compare(pixels, whole.pixels)).toBe(0);
      }
      expect(createdLater).toBe(0);
    },
  );
});

describe("a budget that is too small", () => {
  test.each([
    [257, 131, 6, 16, 2],
    [4000, 50, 2, 8, 1],
    [300, 200, 0, 8, 2],
    [1500, 70, 6, 16, 5],
  ] as const)("%d×%d, type %d, %d bits, sigma %d", async (width, height, type, depth, sigma) => {
    const picture = await decodePng(pictureFile(makePicture(width, height, type, depth)));
    const { message } = caught(() => planStrips(picture, sigma, 1000)) as Error;
    expect(message).toMatch(/^a budget of 1000 B is too small: .*sigma/);
    const smallest = Number(/the smallest budget that works is (\d+) MiB$/.exec(message)?.[1]);
    expect(() => planStrips(picture, sigma, (smallest - 1) * MiB)).toThrow(/too small/);
    const whole = await edgeMap(unbounded(), picture, { sigma });
    const within = await runWithin(smallest * MiB, picture, sigma);
    expect(within.peakBytes).toBeLessThanOrEqual(smallest * MiB);
    expect(Buffer.compare(within.results[0]!.pixels, whole.pixels)).toBe(0);
    expect(within.createdLater).toBe(0);
  });
});

test("every plan can be carried out, whatever the picture and the budget", async () => {
  const random = seededRandom(11);
  const upTo = (most: number): number => Math.ceil(most ** random());
  let cut = 0;
  for (let attempt = 0; attempt < 150; attempt++) {
    const [width, height, sigma] = [upTo(2000), upTo(1000), upTo(40) / 2];
    const samples = new (random() < 0.5 ? Uint8Array : Uint16Array)(width * height * 4);
    const colours = { colourType: 6, depth: 8, interlaced: false, maximum: 255 };
    const picture = { width, height, samples, ...colours };
    const smallest = caught(() => planStrips(picture, sigma, 1)) as OutOfMemoryError;
    if (smallest.code !== "OUT_OF_MEMORY") continue;
    // A device that executes nothing allocates all the same.
    const budgetBytes = Math.ceil(smallest.requestedBytes * (1 + random() ** 4));
    const options = runtimeOptionsFor(budgetBytes, picture, sigma);
    const runtime = await openRuntime({ ...options, adapter: "null" });
    try {
      const { strips } = await edgeMap(runtime, picture, { sigma, budgetBytes });
      if (strips > 1) cut++;
      expect(runtime.stats().slabs.count).toBe(1);
      expect(runtime.stats().gpuBuffers.peakBytes).toBeLessThanOrEqual(budgetBytes);
      const created = buffersCreated();
      await edgeMap(runtime, picture, { sigma, budgetBytes });
      expect(buffersCreated()).toBe(created);
    } finally {
      await runtime.dispose();
    }
  }
  expect(cut).toBeGreaterThan(10);
});
