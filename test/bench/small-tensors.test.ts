/** Many small tensors: few buffers, and after trim() no more memory than they need. */

import { expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import { GiB, KiB, MiB } from "../../src/index.ts";
import { openSimulated } from "../simulated/open-simulated.ts";

const slabBytes = 4 * MiB;

test("10,000 of 1 to 64 KiB need no more buffers than their bytes need slabs, and two", async () => {
  const limits = { maxBufferSize: GiB, maxStorageBufferBindingSize: GiB };
  const { runtime } = await openSimulated({ budget: { deviceBytes: 2 * GiB } }, { limits });
  const random = randomFrom(11);
  const sizes = Array.from({ length: 10_000 }, () => KiB * (1 + random.integer(64)));
  const make = (bytes: number): ReturnType<typeof runtime.empty> =>
    runtime.empty([bytes], { dtype: "uint8", label: "small" });
  let tensors = sizes.map(make);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  expect(runtime.stats().slabs.count).toBeLessThanOrEqual(Math.ceil(bytes / slabBytes) + 2);
  const { deviceHeap } = runtime.stats();
  expect(deviceHeap.liveBytes).toBe(bytes);

  // Nine of ten end, in no order: what is left fits a tenth of the slabs.
  const isKept = tensors.map(() => random.integer(10) === 0);
  for (const [index, tensor] of tensors.entries()) if (!isKept[index]) tensor.dispose();
  tensors = tensors.filter((_, index) => isKept[index]);
  await runtime.sync();
  runtime.trim();
  const { deviceHeap: after, slabs } = runtime.stats();
  const largest = Math.max(slabBytes, slabs.reservedBytes / slabs.count);
  expect(slabs.reservedBytes - after.liveBytes - after.paddingBytes).toBeLessThanOrEqual(largest);
  for (const tensor of tensors) tensor.dispose();
  runtime.trim();
  expect(runtime.stats().slabs.reservedBytes).toBe(0);
  await runtime.dispose();
});
