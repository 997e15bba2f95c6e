/**
 * What every test runs under: at its end nothing may be left allocated. A test's own runtimes must be
 * disposed without leaks; a runtime that the tests of a file share must hold nothing between them; and
 * every `GPUBuffer` of a closed runtime must be destroyed, counted on the device itself.
 */

import { createRuntime } from "moorage/node";
import type { NodeRuntimeOptions, Runtime } from "moorage/node";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { globals } from "webgpu";

import { openRuntimes } from "../src/device/runtime.ts";

/** Live buffers of every device, counted by wrapping the platform's own functions. */
const liveBuffers = new Map<GPUBuffer, GPUDevice>();
const shared = new Set<Runtime>();
let created = 0;

/** `createBuffer` calls on any device so far. */
export function buffersCreated(): number {
  return created;
}

/** Bytes of the live buffers of a device. */
export function liveBufferBytes(device: GPUDevice): number {
  let bytes = 0;
  for (const [buffer, owner] of liveBuffers) if (owner === device) bytes += buffer.size;
  return bytes;
}

function countBuffers(): void {
  const device = globalThis.GPUDevice as { prototype: GPUDevice } | undefined;
  const buffer = globalThis.GPUBuffer as { prototype: GPUBuffer } | undefined;
  if (device === undefined || buffer === undefined) return;
  const { createBuffer, destroy: destroyDevice } = device.prototype;
  const { destroy } = buffer.prototype;
  device.prototype.createBuffer = function (this: GPUDevice, descriptor) {
    const made = createBuffer.call(this, descriptor);
    created++;
    liveBuffers.set(made, this);
    return made;
  };
  buffer.prototype.destroy = function (this: GPUBuffer) {
    liveBuffers.delete(this);
    return destroy.call(this);
  };
  destroyUnseen = (lost) => destroyDevice.call(lost);
  device.prototype.destroy = function (this: GPUDevice) {
    for (const [made, owner] of liveBuffers) {
      // A runtime must destroy its buffers itself, as it does on a device that it adopted.
      if (owner === this) leaked.push(`GPUBuffer "${made.label}" of ${made.size} bytes`);
    }
    for (const [made, owner] of liveBuffers) if (owner === this) liveBuffers.delete(made);
    return destroyDevice.call(this);
  };
}

let leaked: string[] = [];
let destroyUnseen: (device: GPUDevice) => void = () => {};

/** Destroys a device under its runtime, which could not have destroyed its buffers yet. */
export function loseDevice(device: GPUDevice): void {
  destroyUnseen(device);
}

/** A runtime for one test; the test disposes it. Leaks and stray errors fail the test. */
export async function openRuntime(options: NodeRuntimeOptions = {}): Promise<Runtime> {
  return await createRuntime({
    onLeak: (leaks) => leaked.push(...leaks.map(({ label, region }) => `"${label}" in ${region}`)),
    ...options,
  });
}

/** A runtime that all tests of a file share; it must be empty after each of them. */
export function useRuntime(options: NodeRuntimeOptions = {}): () => Runtime {
  let runtime: Runtime | undefined;
  beforeAll(async () => {
    runtime = await openRuntime(options);
    shared.add(runtime);
  });
  afterAll(async () => {
    if (runtime === undefined) return;
    shared.delete(runtime);
    await runtime.dispose();
    expect(leaked, "left allocated by the shared runtime").toEqual([]);
  });
  return () => runtime!;
}

// The globals must be there before a test wraps or opens anything.
Object.assign(globalThis, globals);
countBuffers();

beforeEach(() => {
  leaked = [];
});

afterEach(() => {
  for (const runtime of openRuntimes()) {
    if (!shared.has(runtime)) {
      leaked.push(`runtime "${runtime.label}", not disposed`);
      void runtime.dispose();
      continue;
    }
    leaked.push(...runtime.live().map(({ label, region }) => `"${label}" in ${region}`));
    const { hot, pinned, general, deviceArena, deviceHeap } = runtime.stats();
    for (const region of [hot, pinned, general, deviceArena, deviceHeap]) {
      const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
      expect(
        liveBytes + paddingBytes + deferredBytes + freeBytes,
        `balance of ${region.region}`,
      ).toBe(reservedBytes);
      // What lives on the general heap ends by itself.
      if (liveBytes > 0 && region !== general)
        leaked.push(`${liveBytes} bytes of ${region.region}`);
    }
    if (deviceArena.reservedBytes > 0)
      leaked.push(`${deviceArena.reservedBytes} bytes leased by device arenas`);
  }
  expect(leaked, "left allocated by this test").toEqual([]);
});
