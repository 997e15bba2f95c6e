/** What happens when device memory runs out: listeners, caches, waiting, and an error that names everybody. */

import { KiB, MiB, OutOfMemoryError } from "moorage";
import type { DevicePressureEvent, Runtime, Tensor } from "moorage";
import { expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { openRuntime } from "../harness.ts";
import { caught } from "../support/caught.ts";

const half = { dtype: "float32" } as const;

function open(options: { readonly deviceSoftBytes?: number } = {}): Promise<Runtime> {
  return openRuntime({ budget: { deviceBytes: 2 * MiB, ...options }, slabBytes: MiB });
}

function contextOf(rt: Runtime): DeviceContext {
  return (rt as unknown as { readonly context: DeviceContext }).context;
}

test("a listener that disposes serves the request", async () => {
  const rt = await open();
  const cached: Tensor[] = [];
  for (let index = 0; index < 4; index++)
    cached.push(rt.empty([128 * KiB], { ...half, label: `cached ${index}` }));
  const events: DevicePressureEvent[] = [];
  const end = rt.onPressure((event) => {
    events.push(event);
    for (const tensor of cached.splice(0, 2)) tensor.dispose();
  });
  const x = rt.empty([256 * KiB], { ...half, label: "needed" });
  expect(events).toEqual([
    {
      region: "device",
      requestedBytes: MiB,
      availableBytes: 0,
      reservedBytes: 2 * MiB,
      budgetBytes: 2 * MiB,
      level: "refused",
    },
  ]);
  expect(rt.stats().ladder).toMatchObject({ climbs: 1, told: 1, trimmed: 0, refused: 0 });
  end();
  caught(() => rt.empty([256 * KiB], half));
  expect(events).toHaveLength(1);
  for (const tensor of [...cached, x]) tensor.dispose();
  await rt.dispose();
});

test("a listener that allocates climbs no second ladder", async () => {
  const rt = await open();
  const full = rt.empty([256 * KiB], { ...half, label: "first" });
  const other = rt.empty([256 * KiB], { ...half, label: "second" });
  let inner: unknown;
  const end = rt.onPressure(() => {
    inner = caught(() => rt.empty([256 * KiB], half));
  });
  expect(caught(() => rt.empty([256 * KiB], half)).code).toBe("OUT_OF_MEMORY");
  expect(inner).toBeInstanceOf(OutOfMemoryError);
  end();
  full.dispose();
  other.dispose();
  await rt.dispose();
});

test("the error names what has the memory, the most first, and the largest piece that is free", async () => {
  const rt = await open();
  const kept = rt.empty([200 * KiB], { ...half, label: "weights" });
  const heads = Array.from({ length: 3 }, () => rt.empty([64 * KiB], { ...half, label: "head" }));
  const error = caught(() => rt.empty([400 * KiB], { ...half, label: "too much" }));
  expect(error).toMatchObject({
    code: "OUT_OF_MEMORY",
    label: "too much",
    requestedBytes: 1600 * KiB,
    availableBytes: 2 * MiB - 800 * KiB - 768 * KiB,
    largestFreeBytes: 256 * KiB,
    breakdown: [
      { region: "device heap", label: "weights", byteLength: 800 * KiB, count: 1 },
      { region: "device heap", label: "head", byteLength: 768 * KiB, count: 3 },
    ],
  });
  expect(error.message).toContain('"weights" 800 KiB in device heap, 3 x "head" 768 KiB');
  expect(rt.stats().ladder.refused).toBe(1);
  for (const tensor of [kept, ...heads]) tensor.dispose();
  await rt.dispose();
});

test("a soft budget costs the caches and is told, and the request is served", async () => {
  const rt = await open({ deviceSoftBytes: MiB });
  const staging = rt.pinned.tensor({ shape: [KiB], dtype: "float32" });
  staging.dispose();
  expect(rt.stats().pinned.freeBytes).toBeGreaterThan(0);
  const levels: string[] = [];
  const end = rt.onPressure(({ level }) => levels.push(level));
  const first = rt.empty([256 * KiB], half);
  expect(levels).toEqual([]);
  const second = rt.empty([256 * KiB], half);
  expect(levels).toEqual(["soft"]);
  expect(rt.stats().pinned.freeBytes).toBe(0);
  end();
  first.dispose();
  second.dispose();
  await rt.dispose();
});

test("the asynchronous form waits for what the engine has not told of yet", async () => {
  const rt = await open();
  const heap = contextOf(rt).heap;
  const block = heap.alloc({ byteLength: 2 * MiB - 4 * KiB - MiB });
  const other = heap.alloc({ byteLength: MiB });
  setTimeout(() => heap.free(other), 0);
  const waited = await heap.allocAsync({ byteLength: MiB, label: "patient" });
  expect(rt.stats().ladder.waited).toBeGreaterThan(0);
  heap.free(waited);
  heap.free(block);
  await rt.dispose();
});

test("pinned memory is pressed for, too: softly, and before it is refused", async () => {
  const rt = await openRuntime({ budget: { pinnedBytes: MiB, pinnedSoftBytes: 512 * KiB } });
  const events: DevicePressureEvent[] = [];
  const held = [rt.pinned.tensor({ shape: [64 * KiB], ...half, label: "first" })];
  const pooled = rt.pinned.tensor({ shape: [32 * KiB], ...half, label: "pooled" });
  pooled.dispose();
  const end = rt.onPressure((event) => events.push(event));
  held.push(rt.pinned.tensor({ shape: [100 * KiB], ...half, label: "second" }));
  const requestedBytes = held[1]!.block.slot.buffer.size;
  // What was pooled has gone.
  expect(rt.stats().pinned.freeBytes).toBe(0);
  expect(events).toEqual([
    {
      region: "pinned",
      requestedBytes,
      availableBytes: MiB - 384 * KiB,
      reservedBytes: 384 * KiB,
      budgetBytes: MiB,
      level: "soft",
    },
  ]);
  // Who has another way troubles nobody: neither reads nor productions do.
  const x = rt.produce({ shape: [256 * KiB], ...half, label: "x" }, (elements) => elements.fill(1));
  expect((await x.data())[5]).toBe(1);
  expect(events).toHaveLength(1);
  end();
  const last = rt.onPressure((event) => {
    events.push(event);
    held.shift()?.dispose();
  });
  held.push(rt.pinned.tensor({ shape: [100 * KiB], ...half, label: "third" }));
  expect(events.slice(1).map(({ level }) => level)).toEqual(["refused"]);
  expect(caught(() => rt.pinned.tensor({ shape: [MiB], ...half })).code).toBe("OUT_OF_MEMORY");
  expect(rt.stats().ladder.told).toBe(3);
  last();
  x.dispose();
  for (const tensor of held) tensor.dispose();
  await rt.dispose();
});
