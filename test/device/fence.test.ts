/** The end of what was submitted, told by the queue or by a mapping: the same moment, and nothing is left. */

import { MiB } from "moorage";
import { expect, test, vi } from "vitest";

import { Fence } from "../../src/device/waiting/fence.ts";
import { buffersCreated, loseDevice, openRuntime, useRuntime } from "../harness.ts";

const rt = useRuntime();

test.each([
  ["the queue", false],
  ["a mapping", true],
])("by %s: all of it is done, however many wait", async (_, isMapped) => {
  const on = rt();
  const { slots } = on.pinned;
  const parts = { device: () => on.device, slots, isHolding: () => false };
  const fence = new Fence(parts, isMapped);
  const staging = on.device.createBuffer({
    label: "the test's own",
    size: MiB,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const x = on.full([MiB / 4], 3, { dtype: "float32" });
  // Staging for fences is there from the first time on.
  await fence.passed();
  const lease = await on.lend(x);
  const encoder = on.device.createCommandEncoder({ label: "the test's own" });
  for (let copy = 0; copy < 20; copy++)
    encoder.copyBufferToBuffer(lease.buffer, lease.offset, staging, 0, MiB);
  on.device.queue.submit([encoder.finish()]);
  const order: string[] = [];
  const mapped = staging.mapAsync(GPUMapMode.READ).then(() => order.push("mapped"));
  const passed = fence.passed().then(() => order.push("passed"));
  await Promise.all([mapped, passed, fence.passed(), fence.passed()]);
  expect(order).toEqual(["mapped", "passed"]);
  const before = buffersCreated();
  for (let round = 0; round < 10; round++) await fence.passed();
  expect(buffersCreated()).toBe(before);
  expect(on.stats().pinned.liveBytes).toBe(0);
  staging.destroy();
  lease.dispose();
  x.dispose();
});

test("a buffer that may not be there yet is not waited for", async () => {
  const on = await openRuntime({});
  const parts = { device: () => on.device, slots: on.pinned.slots, isHolding: () => true };
  await new Fence(parts, true).passed();
  expect(on.stats().pinned.liveBytes).toBe(0);
  await on.dispose();
});

test("where its device is lost the queue has the last word, and its staging is gone", async () => {
  const on = await openRuntime({ onLost: () => {} });
  const parts = { device: () => on.device, slots: on.pinned.slots, isHolding: () => false };
  const fence = new Fence(parts, true);
  await fence.passed();
  loseDevice(on.device);
  await on.lost;
  // Settled, one way or the other: browsers and Dawn do not agree on which.
  await fence.passed().catch(() => {});
  expect(on.stats().pinned).toMatchObject({ liveBytes: 0 });
  await expect(on.sync()).rejects.toMatchObject({ code: "DEVICE_LOST" });
  await on.dispose();
});

test("a runtime that is closing makes no buffer for it, and waits all the same", async () => {
  const on = await openRuntime({});
  const { slots } = on.pinned;
  const lend = vi.spyOn(slots, "lend").mockImplementation(() => {
    throw new Error("closing");
  });
  const fence = new Fence({ device: () => on.device, slots, isHolding: () => false }, true);
  await fence.passed();
  expect(lend).toHaveBeenCalledOnce();
  lend.mockRestore();
  await on.dispose();
});
