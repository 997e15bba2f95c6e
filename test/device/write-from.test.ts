/** Tensors written piece by piece through a bounded window: every byte arrives, and no more is held. */

import { KiB, MiB } from "moorage";
import { describe, expect, test } from "vitest";

import { buffersCreated, openRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const byteOf = (index: number): number => (index * 31 + (index >> 8) * 7) & 0xff;

function fill(piece: Uint8Array, byteOffset: number): void {
  for (let index = 0; index < piece.length; index++) piece[index] = byteOf(byteOffset + index);
}

/** Chunks of sizes that are no multiples of anything. */
function streamOf(count: number): ReadableStream<Uint8Array> {
  let done = 0;
  return new ReadableStream({
    pull(controller) {
      const chunk = new Uint8Array(Math.min(count - done, 1 + ((done * 13) % 5000)));
      fill(chunk, done);
      done += chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk);
      if (done === count) controller.close();
    },
  });
}

describe.each([1, 4095, 4096, 4097, 100_003, MiB])("%d bytes", (count) => {
  test.each(["function", "stream"])("by a %s", async (kind) => {
    const rt = await openRuntime();
    const x = rt.empty([count], { dtype: "uint8", label: "weights" });
    const progress: number[] = [];
    await rt.writeFrom(x, kind === "function" ? fill : streamOf(count), {
      windowBytes: 64 * KiB,
      onProgress: (done, total) => {
        expect(total).toBe(count);
        progress.push(done);
      },
    });
    expect(progress.at(-1)).toBe(count);
    expect(rt.stats().pinned.reserved.peak).toBeLessThanOrEqual(80 * KiB);
    const data = await x.data();
    const expected = new Uint8Array(count);
    fill(expected, 0);
    expect(Buffer.compare(data, expected)).toBe(0);
    x.dispose();
    await rt.dispose();
  });
});

test("through less staging than was asked for", async () => {
  const rt = await openRuntime({ budget: { pinnedBytes: 32 * KiB } });
  const x = rt.empty([300_000], { dtype: "uint8" });
  await rt.writeFrom(x, fill, { windowBytes: 64 * KiB });
  expect(rt.stats().pinned.reserved.peak).toBeLessThanOrEqual(32 * KiB);
  x.dispose();
  await rt.dispose();
});

test("streams that are too short or too long, and whatever else fails, leave nothing behind", async () => {
  const rt = await openRuntime();
  const x = rt.empty([10_000], { dtype: "uint8", label: "weights" });
  const error = new Error("producer's own");
  const own = (): never => {
    throw error;
  };
  expect(await codeOfRejection(rt.writeFrom(x, streamOf(9999)))).toBe("INVALID_ARGUMENT");
  expect(await codeOfRejection(rt.writeFrom(x, streamOf(10_001)))).toBe("INVALID_ARGUMENT");
  await expect(rt.writeFrom(x, own)).rejects.toBe(error);
  const aborted = rt.writeFrom(x, fill, { signal: AbortSignal.abort(error) });
  await expect(aborted).rejects.toBe(error);
  expect(await codeOfRejection(rt.writeFrom(x.slice([0, 8]), fill))).toBe("INVALID_LAYOUT");
  expect(await codeOfRejection(rt.writeFrom(x, fill, { windowBytes: 1000 }))).toBe(
    "INVALID_ARGUMENT",
  );
  await rt.pinned.settled();
  expect(rt.stats().pinned.liveBytes).toBe(0);
  x.dispose();
  expect(await codeOfRejection(rt.writeFrom(x, fill))).toBe("USE_AFTER_DISPOSE");
  await rt.dispose();
});

test("one after the other they take turns with the same buffers, large pieces and small ones", async () => {
  const rt = await openRuntime();
  for (const [byteLength, windowBytes] of [
    [6 * MiB, 4 * MiB],
    [100_000, 64 * KiB],
  ] as const) {
    const x = rt.empty([byteLength], { dtype: "uint8", label: "weights" });
    await rt.writeFrom(x, fill, { windowBytes });
    const before = buffersCreated();
    for (let round = 0; round < 5; round++) await rt.writeFrom(x, fill, { windowBytes });
    expect(buffersCreated() - before).toBe(0);
    x.dispose();
  }
  await rt.dispose();
});

test("it is behind what was recorded before it, and before what is recorded after it", async () => {
  const rt = await openRuntime();
  const x = rt.zeros([MiB], { dtype: "uint8", label: "x" });
  await rt.sync();
  const old = rt.copy(x);
  await rt.writeFrom(x, (piece) => piece.fill(7), { windowBytes: 4 * MiB });
  const next = rt.copy(x);
  await rt.writeFrom(x, (piece) => piece.fill(9), { windowBytes: 4 * MiB });
  const seen = await Promise.all([old, next, x].map((tensor) => tensor.data()));
  expect(seen.map((bytes) => [bytes[0], bytes.at(-1)])).toEqual([
    [0, 0],
    [7, 7],
    [9, 9],
  ]);
  for (const tensor of [x, old, next]) tensor.dispose();
  await rt.dispose();
});
