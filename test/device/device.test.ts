/** The device under a runtime: adopted, lost, in trouble, shared. */

import { createRuntime as createOn, DeviceError } from "moorage";
import type { MoorageError } from "moorage";
import { openAdapter } from "moorage/node";
import { expect, test, vi } from "vitest";

import { liveBufferBytes, loseDevice, openRuntime } from "../harness.ts";
import { ownDevice } from "../support/adopted.ts";
import { withRuntime } from "../support/device.ts";

const ones = Float32Array.of(1, 1, 1);
const three = { shape: [3], dtype: "float32" } as const;

test("an adopted device is left as it was", async () => {
  const device = await ownDevice();
  const heard: string[] = [];
  device.addEventListener("uncapturederror", (event) => {
    event.preventDefault();
    heard.push(event.error.message);
  });
  const rt = await openRuntime({ device, label: "guest" });
  expect(rt.device).toBe(device);
  const x = rt.tensor(ones, three);
  const y = rt.add(x, 1);
  expect(await y.toArray()).toEqual([2, 2, 2]);
  x.dispose();
  y.dispose();
  await rt.dispose();
  expect(liveBufferBytes(device)).toBe(0);
  // It still works, and its errors go to its owner.
  device
    .createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE })
    .destroy();
  device.queue.submit([]);
  await device.queue.onSubmittedWorkDone();
  expect(heard.length).toBe(1);
  let lost = false;
  void device.lost.then(() => (lost = true));
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(lost).toBe(false);
});

test("the adapter's limits are requested and honoured", async () => {
  const { adapter } = await openAdapter();
  await withRuntime({ adapter }, async (rt) => {
    for (const name of [
      "maxBufferSize",
      "maxStorageBufferBindingSize",
      "maxComputeInvocationsPerWorkgroup",
      "minStorageBufferOffsetAlignment",
    ] as const)
      expect(rt.device.limits[name], name).toBe(adapter.limits[name]);
    const tooLong = Math.ceil(rt.device.limits.maxBufferSize / 4) + 1024;
    expect(() => rt.empty([tooLong], { dtype: "float32", label: "long" })).toThrowError(
      expect.objectContaining({ code: "LIMIT_EXCEEDED", label: "long" }),
    );
    await Promise.resolve();
  });
});

test("a device with WebGPU's default limits will do", async () => {
  const device = await ownDevice();
  await withRuntime({ device }, async (rt) => {
    using x = rt.full([1000, 3], 2, { dtype: "float16" });
    using sum = rt.sum(x, { axis: 0 });
    expect(await sum.toArray()).toEqual([2000, 2000, 2000]);
  });
});

/** How a promise ends. */
function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "settled",
    (error: MoorageError) => error.code,
  );
}

test("a lost device: everybody who waits or works is told, and dispose still works", async () => {
  const device = await ownDevice();
  const told: MoorageError[] = [];
  const rt = await openRuntime({
    device,
    label: "doomed",
    onLost: (error) => told.push(error),
    onLeak: () => {},
  });
  const x = rt.tensor(ones, three);
  const y = rt.add(x, 1);
  await y.data();
  const z = rt.multiply(y, 3);
  const pinned = rt.pinned.tensor({ ...three, label: "staged" });
  const copy = rt.upload(pinned);
  const mapped = pinned.mapped();
  const pending = [z.data(), z.slice([0, 2]).transpose().data(), rt.sum(z).item(), copy.data()];
  const scope = rt.scope(async (s) => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return s.sum(s.full([4], 1, { dtype: "float32" })).item();
  });
  const codes = [...pending, scope, mapped].map(codeOf);
  loseDevice(device);
  const lost = [...pending, scope].map(() => "DEVICE_LOST");
  expect(await Promise.all(codes)).toEqual([...lost, "NOT_MAPPED"]);
  const reason = await rt.lost;
  expect(reason).toBeInstanceOf(DeviceError);
  expect(reason.message).toMatch(/"doomed".*restore\(\)/);
  expect(told).toEqual([reason]);
  for (const use of [
    () => rt.add(x, 1),
    () => rt.tensor(ones, three),
    () => rt.full([2], 1, { dtype: "int32" }),
    () => rt.write(x, ones),
    () => rt.fill(x, 0),
  ])
    expect(use).toThrowError(expect.objectContaining({ code: "DEVICE_LOST" }));
  await expect(x.data()).rejects.toMatchObject({ code: "DEVICE_LOST" });
  await expect(rt.scope(() => 1)).rejects.toMatchObject({ code: "DEVICE_LOST" });
  await expect(rt.sync()).rejects.toMatchObject({ code: "DEVICE_LOST" });
  await expect(rt.reserve(1)).rejects.toMatchObject({ code: "DEVICE_LOST" });
  expect(x.state).toBe("failed");
  for (const tensor of [x, y, z, pinned, copy]) tensor.dispose();
  await rt.dispose();
  expect(rt.stats().gpuBuffers.liveBytes).toBe(0);
  expect(liveBufferBytes(device)).toBe(0);
});

test("after dispose every use says so; disposing twice is harmless", async () => {
  const rt = await openRuntime({ label: "closed" });
  const x = rt.tensor(ones, three);
  const reading = x.data();
  x.dispose();
  await Promise.all([rt.dispose(), rt.dispose()]);
  expect(await reading).toEqual(ones);
  const gone = expect.objectContaining({ code: "RUNTIME_DISPOSED" }) as Error;
  expect(() => rt.tensor(ones, three)).toThrowError(gone);
  expect(() => rt.pinned.tensor(three)).toThrowError(gone);
  await expect(rt.scope(() => 1)).rejects.toMatchObject({ code: "RUNTIME_DISPOSED" });
  await expect(rt.sync()).rejects.toMatchObject({ code: "RUNTIME_DISPOSED" });
  rt.flush();
  rt.trim();
  await rt.dispose();
});

test("errors that nobody caught reach onError", async () => {
  const told: MoorageError[] = [];
  const rt = await openRuntime({ onError: (error) => told.push(error) });
  rt.device
    .createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE })
    .destroy();
  rt.device.queue.submit([]);
  await rt.device.queue.onSubmittedWorkDone();
  await rt.dispose();
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ code: "DEVICE_ERROR" });
  expect(told[0]!.message).toMatch(/the device reported/);
});

test("two runtimes are independent, on devices of their own and on one", async () => {
  const device = await ownDevice();
  const pairs = [
    [await openRuntime({ label: "a" }), await openRuntime({ label: "b" })],
    [await createOn({ device, label: "a" }), await createOn({ device, label: "b" })],
  ] as const;
  for (const [first, second] of pairs) {
    const [x, y] = [first.tensor(ones, three), second.tensor(ones, three)];
    expect(() => first.add(x, y)).toThrowError(expect.objectContaining({ code: "FOREIGN_HANDLE" }));
    expect(() => second.write(x, ones)).toThrowError(/"tensor"/);
    using pinned = first.pinned.tensor(three);
    expect(() => second.upload(pinned)).toThrowError(
      expect.objectContaining({ code: "FOREIGN_HANDLE" }),
    );
    const [p, q] = [first.add(x, 1), second.add(y, 2)];
    expect(await Promise.all([p.toArray(), q.toArray()])).toEqual([
      [2, 2, 2],
      [3, 3, 3],
    ]);
    for (const tensor of [x, p]) tensor.dispose();
    pinned.dispose();
    await first.dispose();
    using r = second.multiply(q, 2);
    expect(await r.toArray()).toEqual([6, 6, 6]);
    r.dispose();
    for (const tensor of [y, q]) tensor.dispose();
    await second.dispose();
  }
});

test("every object made on the device carries a label that says moorage", async () => {
  const device = await ownDevice();
  const unlabelled: string[] = [];
  const makers = [
    "createBuffer",
    "createBindGroup",
    "createBindGroupLayout",
    "createPipelineLayout",
    "createShaderModule",
    "createComputePipeline",
    "createComputePipelineAsync",
    "createCommandEncoder",
  ] as const;
  const used = new Set<string>();
  for (const maker of makers) {
    const original = device[maker] as (descriptor?: GPUObjectDescriptorBase) => unknown;
    vi.spyOn(device, maker).mockImplementation(((descriptor?: GPUObjectDescriptorBase) => {
      used.add(maker);
      if (descriptor?.label?.startsWith("moorage") !== true)
        unlabelled.push(`${maker} ${descriptor?.label}`);
      return original.call(device, descriptor);
    }) as never);
  }
  await withRuntime({ device }, async (rt) => {
    using pinned = rt.pinned.tensor(three);
    await rt.scope(async (s) => {
      const x = s.upload(pinned);
      const { defineElementwise } = await import("moorage");
      const kernel = defineElementwise({
        label: "mine",
        inputs: ["x"],
        output: "float32",
        expression: "x + 1.0",
      });
      await s.softmax(s.map(kernel, [x]), { axis: 0 }).data();
    });
  });
  expect(unlabelled).toEqual([]);
  expect([...used].sort()).toEqual([...makers].sort());
});
