/** Compaction: tensors move together on the device, and nobody notices but the report. */

import { KiB, MiB } from "moorage";
import type { Runtime, Tensor } from "moorage";
import { describe, expect, test } from "vitest";

import { liveBufferBytes, openRuntime } from "../harness.ts";

const quarter = { shape: [64 * KiB], dtype: "float32" } as const;

function open(slabs = 4): Promise<Runtime> {
  return openRuntime({ budget: { deviceBytes: slabs * MiB }, slabBytes: MiB });
}

/** Tensors of a quarter of a slab, each with its own number in it. */
function fill(rt: Runtime, count: number): Tensor[] {
  return Array.from({ length: count }, (_, index) =>
    rt.full([64 * KiB], index, { dtype: "float32", label: `quarter ${index}` }),
  );
}

async function expectNumbers(tensors: readonly Tensor[]): Promise<void> {
  for (const tensor of tensors) {
    const number = Number(tensor.label.slice(8));
    expect(new Set(await tensor.data()), tensor.label).toEqual(new Set([number]));
  }
}

test("survivors of four slabs go into one, with their values, and three slabs go back", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  const views = tensors.map((tensor) => tensor.slice([10, 20]));
  const kept = tensors.filter((_, index) => index % 4 === 1);
  for (const tensor of tensors) if (!kept.includes(tensor)) tensor.dispose();
  // Work waits for the slabs to be there, and has its places already: only what is empty would go.
  rt.trim();
  expect(rt.stats().slabs.count).toBe(4);
  const before = rt.storage();
  expect(before).toMatchObject({ freeBytes: 3 * MiB, largestFreeBytes: MiB / 2 });
  const result = await rt.compact();
  expect(result).toEqual({ movedBytes: 3 * (MiB / 4), movedBlocks: 3, emptiedSlabs: 3 });
  expect(rt.stats().slabs).toMatchObject({ count: 1, reservedBytes: MiB });
  expect(rt.storage().freeBytes).toBe(0);
  await expectNumbers(kept);
  // Views go where their owner went.
  expect(new Set(await views[5]!.data())).toEqual(new Set([5]));
  expect(await rt.compact()).toEqual({ movedBytes: 0, movedBlocks: 0, emptiedSlabs: 0 });
  for (const tensor of kept) tensor.dispose();
  await rt.dispose();
});

test("trim() leaves no more than a slab beyond what lives, once nothing waits", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  await rt.sync();
  const kept = tensors.filter((_, index) => index % 4 === 1);
  for (const tensor of tensors) if (!kept.includes(tensor)) tensor.dispose();
  rt.trim();
  expect(rt.stats().slabs).toMatchObject({ count: 1, reservedBytes: MiB });
  await expectNumbers(kept);
  for (const tensor of kept) tensor.dispose();
  rt.trim();
  expect(rt.stats().slabs.count).toBe(0);
  await rt.dispose();
});

test("work that is recorded before and after sees the values of its time", async () => {
  const rt = await open();
  const tensors = fill(rt, 12);
  const kept = tensors.filter((_, index) => index % 4 === 2);
  for (const tensor of tensors) if (!kept.includes(tensor)) tensor.dispose();
  const [a, b] = kept as [Tensor, Tensor];
  const sum = rt.add(a, b);
  const compacting = rt.compact();
  const after = rt.multiply(a, b);
  rt.fill(a, 100);
  await compacting;
  expect(new Set(await sum.data())).toEqual(new Set([8]));
  expect(new Set(await after.data())).toEqual(new Set([12]));
  expect(new Set(await a.data())).toEqual(new Set([100]));
  for (const tensor of [...kept, sum, after]) tensor.dispose();
  await rt.dispose();
});

test("a little at a time moves no more than it is told, and ends in the same", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  const kept = tensors.filter((_, index) => index % 4 === 3);
  for (const tensor of tensors) if (!kept.includes(tensor)) tensor.dispose();
  let calls = 0;
  for (;;) {
    const { movedBytes } = await rt.compact({ maxBytes: MiB / 4 });
    if (movedBytes === 0) break;
    expect(movedBytes).toBe(MiB / 4);
    calls++;
  }
  expect(calls).toBe(3);
  expect(rt.stats().slabs.count).toBe(1);
  await expectNumbers(kept);
  for (const tensor of kept) tensor.dispose();
  await rt.dispose();
});

test("scratch of an open scope and what is lent stay where they are", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  const lease = await rt.lend(tensors[0]!);
  const place = lease.offset;
  await rt.scope(async (s) => {
    for (const tensor of tensors.slice(1)) if (tensor !== tensors[5]) tensor.dispose();
    const scratch = s.add(tensors[0]!, 1);
    await rt.compact();
    expect(new Set(await scratch.data())).toEqual(new Set([1]));
  });
  const again = await rt.lend(tensors[0]!);
  expect([again.buffer, again.offset]).toEqual([lease.buffer, place]);
  for (const one of [lease, again, tensors[0]!, tensors[5]!]) one.dispose();
  await rt.dispose();
});

test("memory in pieces serves a request that needs it in one, before it is refused", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  const kept = tensors.filter((_, index) => index % 2 === 0);
  for (const tensor of tensors) if (!kept.includes(tensor)) tensor.dispose();
  expect(rt.storage()).toMatchObject({ freeBytes: 2 * MiB, largestFreeBytes: MiB / 4 });
  await rt.sync();
  const large = rt.full([MiB / 4], 77, { dtype: "float32", label: "large" });
  const { tightened, compacted, refused } = rt.stats().ladder;
  expect([tightened + compacted, refused]).toEqual([1, 0]);
  expect(new Set(await large.data())).toEqual(new Set([77]));
  await expectNumbers(kept);
  expect(liveBufferBytes(rt.device)).toBe(rt.stats().gpuBuffers.liveBytes);
  for (const tensor of [...kept, large]) tensor.dispose();
  await rt.dispose();
});

test("room is made by moving what lies in the way, and no more", async () => {
  const rt = await open();
  const tensors = fill(rt, 16);
  const gone = [1, 3, 6, 9, 12];
  for (const index of gone) tensors[index]!.dispose();
  const kept = tensors.filter((_, index) => !gone.includes(index));
  expect(rt.storage()).toMatchObject({ freeBytes: 5 * (MiB / 4), largestFreeBytes: MiB / 4 });
  await rt.sync();
  // Only the third quarter of the first slab is between two holes.
  const large = rt.full([MiB / 8], 99, { dtype: "float32", label: "large" });
  const { tightened, compacted, refused } = rt.stats().ladder;
  expect([tightened + compacted, refused]).toEqual([1, 0]);
  expect(rt.storage().freeBytes).toBe(3 * (MiB / 4));
  expect(rt.stats().slabs.count).toBe(4);
  expect(new Set(await large.data())).toEqual(new Set([99]));
  await expectNumbers(kept);
  for (const tensor of [...kept, large]) tensor.dispose();
  await rt.dispose();
});

test("nothing of a quarter's size is made for a compaction: only copies", async () => {
  const rt = await open(2);
  const x = rt.zeros(quarter.shape, { dtype: "float32" });
  const created = rt.stats().gpuBuffers.createdCount;
  await rt.compact();
  expect(rt.stats().gpuBuffers.createdCount).toBe(created);
  x.dispose();
  await rt.dispose();
});

describe("a slab that slides together", () => {
  /** Two slabs: holes in the first are too small for what is asked for, and the second has one of `spare`. */
  async function openWithHoles(spare: number): Promise<{ rt: Runtime; kept: Tensor[] }> {
    const rt = await open(2);
    const sixteenths = Array.from({ length: 32 }, (_, index) =>
      rt.full([16 * KiB], index, { dtype: "float32", label: `quarter ${index}` }),
    );
    await rt.sync();
    sixteenths[31]!.dispose();
    const filler = rt.full([16 * KiB - spare / 4], 100, { dtype: "float32", label: "quarter 100" });
    const gone = sixteenths.filter((_, index) => index < 16 && index % 3 === 1);
    for (const tensor of gone) tensor.dispose();
    const kept = sixteenths.filter((tensor, index) => index !== 31 && !gone.includes(tensor));
    return { rt, kept: [...kept, filler] };
  }

  test.each([64 * KiB - 256, 24 * KiB, 9984])(
    "through %i bytes of another, and everything in it is as it was",
    async (spare) => {
      const { rt, kept } = await openWithHoles(spare);
      const view = kept[8]!.slice([100, 200]);
      const number = Number(kept[8]!.label.slice(8));
      const sum = rt.add(kept[1]!, kept[9]!);
      const expected = Number(kept[1]!.label.slice(8)) + Number(kept[9]!.label.slice(8));
      expect(rt.storage().largestFreeBytes).toBe(64 * KiB);
      sum.dispose();
      const large = rt.full([64 * KiB], -1, { dtype: "float32", label: "quarter -1" });
      expect(rt.stats().slabs.count).toBe(2);
      await expectNumbers([...kept, large]);
      expect(new Set(await view.data())).toEqual(new Set([number]));
      const again = rt.add(kept[1]!, kept[9]!);
      expect(new Set(await again.data())).toEqual(new Set([expected]));
      for (const tensor of [...kept, large, again]) tensor.dispose();
      await rt.dispose();
    },
  );
});
