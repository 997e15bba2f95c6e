/**
 * Staging on a device that fails at every call that can fail, one at a time: no memory to map, no
 * buffer, a mapping that fails, a loss. Nothing leaks, the statistics add up, and where the device
 * lives on, so does the runtime.
 */

import { describe, expect, test } from "vitest";

import { MoorageError } from "../../src/index.ts";
import type { Runtime } from "../../src/index.ts";
import type { FaultKind } from "../simulated/faults.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import type { SimulatedDevice } from "../simulated/simulated-device.ts";

interface Opened {
  readonly rt: Runtime;
  readonly device: SimulatedDevice;
}

async function open(): Promise<Opened> {
  const quiet = { onError: () => {}, onLost: () => {} };
  const { runtime: rt, device } = await openSimulated(quiet);
  return { rt, device };
}

/** Bytes through pinned memory, to the device and back; whatever fails, what was made is disposed. */
async function roundTrip({ rt }: Opened, value: number): Promise<void> {
  const staging = rt.pinned.tensor({ shape: [256], dtype: "float32", label: "staging" });
  try {
    staging.data.fill(value);
    const x = rt.upload(staging);
    try {
      await staging.mapped();
      staging.data.fill(-1);
      expect(new Set(await x.data())).toEqual(new Set([value]));
      const retained = staging.retain();
      staging.dispose();
      const second = rt.upload(retained);
      retained.dispose();
      second.dispose();
    } finally {
      x.dispose();
    }
  } finally {
    staging.dispose();
  }
}

async function expectClean({ rt, device }: Opened): Promise<void> {
  await rt.sync();
  await rt.pinned.settled();
  const { pinned, deviceHeap, gpuBuffers } = rt.stats();
  for (const region of [pinned, deviceHeap]) {
    const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = region;
    expect(liveBytes).toBe(0);
    expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
  }
  expect(device.liveBytes).toBe(gpuBuffers.liveBytes);
}

/** How often a call of the kind is made while all is well. */
async function callsOf(kind: FaultKind): Promise<number> {
  const opened = await open();
  const before = opened.device.faults.count(kind);
  await roundTrip(opened, 1);
  await expectClean(opened);
  const calls = opened.device.faults.count(kind) - before;
  await opened.rt.dispose();
  return calls;
}

async function expectMoorages(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => expect(error).toBeInstanceOf(MoorageError));
}

describe.each(["mappedAtCreation", "createBuffer", "mapAsync"] as const)("%s", (kind) => {
  test("fails at each of its calls", async () => {
    const calls = await callsOf(kind);
    expect(calls).toBeGreaterThan(0);
    for (let call = 1; call <= calls; call++) {
      const opened = await open();
      opened.device.faults.failAfter(kind, call);
      await expectMoorages(roundTrip(opened, 2));
      await expectClean(opened);
      opened.device.faults.clear();
      // The next round does not use what has failed.
      await roundTrip(opened, 3);
      await expectClean(opened);
      await opened.rt.dispose();
      expect(opened.device.buffers.size).toBe(0);
    }
  });
});

test("a loss at each call of all", async () => {
  const calls = await callsOf("loss");
  expect(calls).toBeGreaterThan(10);
  for (let call = 1; call <= calls; call++) {
    const opened = await open();
    opened.device.faults.failAfter("loss", call);
    await expectMoorages(roundTrip(opened, 4));
    const { pinned, deviceHeap } = opened.rt.stats();
    expect([pinned.liveBytes, deviceHeap.liveBytes]).toEqual([0, 0]);
    await opened.rt.dispose();
    expect(opened.device.buffers.size).toBe(0);
  }
});
