/** Moorage beside code that uses the device itself: memory lent to it, and buffers of its own as tensors. */

import type { MoorageError } from "moorage";
import { expect, test } from "vitest";

import { openRuntime, useRuntime } from "../harness.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();
const usage = 0x80 | 0x4 | 0x8;

function foreignBuffer(size: number, own = usage): GPUBuffer {
  return rt().device.createBuffer({ size, usage: own, label: "somebody's buffer" });
}

/** By hand: the bytes of a range, without Moorage. */
async function readByHand(buffer: GPUBuffer, offset: number, size: number): Promise<Float32Array> {
  const { device } = rt();
  const staging = device.createBuffer({ size, usage: 0x1 | 0x8, label: "by hand" });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const data = new Float32Array(staging.getMappedRange().slice());
  staging.destroy();
  return data;
}

test("a lease shows the tensor's value to others, holds it in place, and takes what they write", async () => {
  const others = Array.from({ length: 4 }, () => rt().zeros([1000], { dtype: "float32" }));
  const x = rt().full([16], 3, { dtype: "float32", label: "lent" });
  const doubled = rt().multiply(x, 2);
  const lease = await rt().lend(doubled);
  expect(lease.size).toBe(64);
  const seen = await readByHand(lease.buffer, lease.offset, lease.size);
  expect(new Set(seen)).toEqual(new Set([6]));
  rt().device.queue.writeBuffer(lease.buffer, lease.offset, new Float32Array(16).fill(7));
  for (const other of others) other.dispose();
  await rt().compact();
  expect(await rt().scope((s) => s.sum(doubled).item())).toBe(112);
  doubled.dispose();
  // Ended for its owner, and still there for who borrowed it.
  expect(new Set(await readByHand(lease.buffer, lease.offset, 64))).toEqual(new Set([7]));
  expect(rt().stats().deviceHeap.liveBytes).toBeGreaterThan(0);
  lease.dispose();
  lease.dispose();
  x.dispose();
});

test("a view is not lent, and neither is what has ended", async () => {
  const x = rt().zeros([16], { dtype: "float32" });
  expect(await codeOfRejection(rt().lend(x.slice([0, 8])))).toBe("INVALID_LAYOUT");
  x.dispose();
  expect(await codeOfRejection(rt().lend(x))).toBe("USE_AFTER_DISPOSE");
});

test("a foreign buffer is a tensor like any other, and outlives it", async () => {
  const buffer = foreignBuffer(4096);
  rt().device.queue.writeBuffer(
    buffer,
    256,
    Float32Array.from({ length: 8 }, (_, i) => i),
  );
  const x = rt().wrap(buffer, { shape: [2, 4], dtype: "float32", byteOffset: 256 });
  expect(x.label).toBe("somebody's buffer");
  expect(await x.toArray()).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
  ]);
  const before = rt().stats();
  const sum = await rt().scope((s) => s.sum(s.add(x, x)).item());
  expect(sum).toBe(56);
  rt().fill(x, 9);
  x.dispose();
  expect(rt().stats().deviceHeap.liveBytes).toBe(before.deviceHeap.liveBytes);
  rt().trim();
  expect(new Set(await readByHand(buffer, 256, 32))).toEqual(new Set([9]));
  buffer.destroy();
});

test.each([
  ["without STORAGE", 4096, 0x4 | 0x8, 0, "INVALID_ARGUMENT"],
  ["off the binding alignment", 4096, usage, 4, "UNSUPPORTED_ALIGNMENT"],
  ["past its end", 256, usage, 256, "INVALID_LAYOUT"],
] as const)("a buffer %s is refused", (_, size, own, byteOffset, code) => {
  const buffer = foreignBuffer(size, own);
  expect(codeOf(() => rt().wrap(buffer, { shape: [8], dtype: "float32", byteOffset }))).toBe(code);
  buffer.destroy();
});

test("an error of the device that nobody catches names the tensors that it is about", async () => {
  const errors: MoorageError[] = [];
  const own = await openRuntime({ onError: (error) => errors.push(error) });
  const x = own.full([64], 1, { dtype: "float32", label: "weights" });
  const y = own.full([64], 1, { dtype: "float32", label: "bias" });
  const lease = await own.lend(x);
  own.device.queue.writeBuffer(lease.buffer, 2 ** 30, new Uint8Array(4));
  await own.sync();
  expect(errors).toHaveLength(1);
  expect(errors[0]!.code).toBe("DEVICE_ERROR");
  expect(errors[0]!.message).toContain('(in memory of "weights", "bias")');
  lease.dispose();
  for (const tensor of [x, y]) tensor.dispose();
  await own.dispose();
});
