/** Every way to upload carries every byte in the order of the calls; the fastest is measured, and told. */

import type { UploadPlan, UploadWay } from "moorage";
import { KiB, MiB } from "moorage";
import { describe, expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { loseDevice, openRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const ways: readonly UploadWay[] = ["queue", "belt", "fresh"];

const bytesOf = (count: number, seed: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length: count }, (_, index) => (index * 31 + seed * 17) ^ (index >> 8));

describe.each(ways)("%s", (way) => {
  test.each([1, 3, 4, 4096, 100_003, MiB, 5 * MiB + 1])("%d bytes, whole", async (count) => {
    const rt = await openRuntime({ uploads: way });
    const data = bytesOf(count, 1);
    const x = rt.tensor(data, { shape: [count], dtype: "uint8", label: "x" });
    const expected = data.slice();
    // The array is the caller's again at once.
    data.fill(0);
    expect(Buffer.compare(await x.data(), expected)).toBe(0);
    x.dispose();
    await rt.dispose();
  });

  test("each at its place in the order of the calls, also while work is held back", async () => {
    const rt = await openRuntime({ uploads: way });
    for (const round of [0, 1, 2]) {
      const data = new Float32Array(1000).fill(round);
      const x = rt.tensor(data, { shape: [1000], dtype: "float32", label: "x" });
      const first = rt.add(x, 1);
      rt.write(x, data.fill(10));
      const second = rt.add(x, 1);
      rt.write(x.slice([0, 8]), new Float32Array(8).fill(20));
      const third = rt.add(x, 1);
      const at = async (tensor: typeof x, index: number): Promise<number> =>
        (await tensor.data())[index]!;
      expect([await at(first, 0), await at(second, 0), await at(third, 0)]).toEqual([
        round + 1,
        11,
        21,
      ]);
      expect([await at(first, 999), await at(third, 999)]).toEqual([round + 1, 11]);
      for (const tensor of [x, first, second, third]) tensor.dispose();
    }
    await rt.dispose();
  });

  test("without staging, and on a device that is lost", async () => {
    const rt = await openRuntime({ uploads: way, budget: { pinnedBytes: KiB }, onLost: () => {} });
    const data = bytesOf(64 * KiB, 2);
    const x = rt.tensor(data, { shape: [64 * KiB], dtype: "uint8", label: "x" });
    const rows = rt.growable({ rowShape: [64 * KiB], dtype: "uint8", label: "rows" });
    rows.append(data);
    rows.append(data);
    expect(Buffer.compare(await x.data(), data)).toBe(0);
    expect(Buffer.compare(await rows.view().slice(1).data(), data)).toBe(0);
    loseDevice(rt.device);
    await rt.lost;
    expect(() => rt.write(x, data)).toThrow(/lost/);
    for (const tensor of [x, rows]) tensor.dispose();
    await rt.dispose();
  });
});

test("measuring times every way and size, and its plan is what counts from then on", async () => {
  const rt = await openRuntime();
  const { steps, times } = await rt.measureUploads();
  expect(times.map(({ byteLength }) => byteLength)).toEqual([4 * KiB, 64 * KiB, MiB, 16 * MiB]);
  for (const { byteLength, queue, belt, fresh } of times) {
    expect([queue! > 0, fresh! > 0]).toEqual([true, true]);
    // A chunk of the belt has 4 MiB.
    expect(belt === null).toBe(byteLength > 4 * MiB);
  }
  expect(steps.map(({ upToBytes }) => upToBytes)).toEqual([
    16 * KiB,
    256 * KiB,
    4 * MiB,
    Number.MAX_SAFE_INTEGER,
  ]);
  const wayOf = (runtime: typeof rt, byteLength: number): UploadWay =>
    (runtime as unknown as { readonly context: DeviceContext }).context.ways.wayFor(byteLength);
  for (const [index, { byteLength, ...byWay }] of times.entries()) {
    const { way } = steps[index]!;
    const best = Math.min(byWay.queue!, byWay.belt ?? Infinity, byWay.fresh!);
    expect(way === "queue" ? best >= byWay.queue! * 0.95 : byWay[way] === best).toBe(true);
    expect(wayOf(rt, byteLength)).toBe(way);
  }
  expect(rt.live()).toEqual([]);
  // It is plain data, and another runtime on the adapter starts with it.
  const stored = JSON.parse(JSON.stringify(steps)) as UploadPlan["steps"];
  expect(stored).toEqual(steps);
  const other = await openRuntime();
  const told = await openRuntime({ uploads: { steps: [{ upToBytes: 10, way: "fresh" }] } });
  const looked = await openRuntime({ uploads: "measure", budget: { pinnedBytes: MiB } });
  for (const { byteLength } of times) expect(wayOf(other, byteLength)).toBe(wayOf(rt, byteLength));
  expect([wayOf(told, 10), wayOf(told, 11)]).toEqual(["fresh", "fresh"]);
  // It has staging for no more than 512 KiB.
  expect(looked.stats().deviceHeap.live.peak).toBe(64 * KiB);
  for (const one of [rt, other, told, looked]) await one.dispose();
});

test.each([
  { steps: [] },
  { steps: [{ upToBytes: 10, way: "pigeon" }] },
  {
    steps: [
      { upToBytes: 10, way: "queue" },
      { upToBytes: 10, way: "belt" },
    ],
  },
])("a plan that cannot be right is refused: %j", async (uploads) => {
  const opening = openRuntime({ uploads: uploads as UploadPlan });
  expect(await codeOfRejection(opening)).toBe("INVALID_ARGUMENT");
});

test("a runtime that cannot measure is not there", async () => {
  const uploads = "measure";
  const opening = openRuntime({ uploads, budget: { deviceBytes: KiB, pinnedBytes: KiB } });
  const rt = await opening;
  // Nothing fits: the queue takes all.
  expect((await rt.measureUploads()).times).toEqual([]);
  await rt.dispose();
});
