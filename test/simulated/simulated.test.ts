/** The simulated device keeps the platform's rules: it is compared with Dawn, program by program. */

import { openAdapter } from "moorage/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import { copyWordLabel, copyWrittenLabel, outcome, programs, randomContents } from "./programs.ts";
import { SimulatedDevice } from "./simulated-device.ts";

let dawn: GPUDevice;
beforeAll(async () => {
  const { adapter } = await openAdapter();
  dawn = await adapter.requestDevice({
    requiredLimits: { maxBufferSize: adapter.limits.maxBufferSize },
  });
});
afterAll(() => dawn.destroy());

/** Like the real one in what the programs ask for. */
function simulated(): SimulatedDevice {
  const { maxBufferSize, minStorageBufferOffsetAlignment } = dawn.limits;
  const device = new SimulatedDevice({
    limits: { maxBufferSize, minStorageBufferOffsetAlignment },
  });
  const copy = ([source, copied]: readonly Uint8Array[]): void =>
    copied!.set(source!.subarray(0, 4));
  for (const label of [copyWordLabel, copyWrittenLabel]) device.kernels.set(label, copy);
  return device;
}

describe("tells what Dawn tells of", () => {
  test.each(Object.entries(programs))("%s", async (_, program) => {
    const device = simulated();
    const [told, real] = [await program(device.asDevice), await program(dawn)];
    expect(told).toEqual(real);
    expect(device.buffers.size).toBe(0);
  });
});

test.each([1, 2, 3, 4, 5])("leaves what Dawn leaves after any program (%d)", async (seed) => {
  const device = simulated();
  const [a, b] = [randomFrom(seed), randomFrom(seed)];
  const left = await randomContents(device.asDevice, (below) => a.integer(below), 60);
  expect(left).toBe(await randomContents(dawn, (below) => b.integer(below), 60));
});

describe("fails on demand", () => {
  test("out of memory: past its bytes, and at the n-th buffer", async () => {
    const device = new SimulatedDevice({ memoryBytes: 100 });
    const create = (size: number): Promise<string> =>
      outcome(device.asDevice, () => device.asDevice.createBuffer({ size, usage: 8 }));
    expect([await create(64), await create(36), await create(4)]).toEqual([
      "fine",
      "fine",
      "out-of-memory",
    ]);
    const other = new SimulatedDevice();
    other.faults.failAfter("createBuffer", 2);
    const make = (): Promise<string> =>
      outcome(other.asDevice, () => other.asDevice.createBuffer({ size: 8, usage: 8 }));
    expect([await make(), await make(), await make()]).toEqual(["fine", "out-of-memory", "fine"]);
  });

  test("a mapping that is rejected, and one at creation that throws", async () => {
    const device = new SimulatedDevice();
    device.faults.failAfter("mapAsync", 1);
    const made = device.asDevice.createBuffer({ size: 8, usage: 1 | 8 });
    await expect(made.mapAsync(1)).rejects.toThrow("injected");
    await made.mapAsync(1);
    device.faults.failAfter("mappedAtCreation", 1);
    const mapped = (): GPUBuffer =>
      device.asDevice.createBuffer({ size: 8, usage: 2 | 4, mappedAtCreation: true });
    expect(mapped).toThrow(RangeError);
    expect(mapped).not.toThrow();
  });

  test("loss at the n-th call of all: told once, and nothing happens afterwards", async () => {
    const device = new SimulatedDevice();
    device.faults.failAfter("loss", 3);
    const made = device.asDevice.createBuffer({ size: 8, usage: 4 | 8 });
    device.asDevice.queue.writeBuffer(made, 0, new Uint8Array(8).fill(1));
    expect(device.isLost).toBe(false);
    device.asDevice.queue.writeBuffer(made, 0, new Uint8Array(8).fill(2));
    expect(await device.lost).toMatchObject({ reason: "unknown" });
    expect(
      await outcome(device.asDevice, () => device.asDevice.createBuffer({ size: 4, usage: 0 })),
    ).toBe("fine");
    expect(device.faults.count("loss")).toBe(4);
  });

  test("an error without a scope is told as an event", () => {
    const device = new SimulatedDevice();
    const told: string[] = [];
    device.addEventListener("uncapturederror", (event) => {
      told.push((event as GPUUncapturedErrorEvent).error.constructor.name);
    });
    device.createBuffer({ size: 4, usage: 0 });
    expect(told).toEqual(["GPUValidationError"]);
  });
});
