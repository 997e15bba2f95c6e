/**
 * Before a tensor changes, who reads it takes the rest. That may submit what is recorded, make work wait,
 * move other tensors and call a program's listeners: whoever is about to change it looks again afterwards.
 */

import type { Tensor } from "moorage";
import { KiB, MiB } from "moorage";
import type { Runtime } from "moorage/node";
import { expect, test } from "vitest";

import { openRuntime } from "../harness.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";

const mebi = MiB / 4;

function full(rt: Runtime, mebibytes: number, value: number, label: string): Tensor<"float32"> {
  return rt.full([mebibytes * mebi], value, { dtype: "float32", label });
}

function expectAll(data: ArrayLike<number>, value: number): void {
  const at = Array.prototype.findIndex.call(data, (element: number) => element !== value);
  if (at !== -1) expect.fail(`element ${at} is ${data[at]}, not ${value}`);
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test("the chunk of a small write may be submitted by the read that it changes", async () => {
  const errors: string[] = [];
  const onError = ({ message }: Error): void => void errors.push(message);
  const rt = await openRuntime({ uploads: "belt", onError });
  const x = full(rt, 13, 1, "x");
  const other = rt.zeros([16], { dtype: "float32", label: "other" });
  rt.write(x.slice([0, 64]), new Float32Array(64).fill(1));
  await Promise.all([x.data(), x.data(), x.data()]);
  await rt.sync();
  await soon();
  const reading = x.data();
  rt.fill(other, 3);
  const last = x.slice([13 * mebi - 64, 13 * mebi]);
  rt.write(last, new Float32Array(64).fill(9));
  expectAll(await reading, 1);
  expectAll(await last.data(), 9);
  expectAll(await other.data(), 3);
  expect(errors).toEqual([]);
  for (const tensor of [x, other]) tensor.dispose();
  await rt.dispose();
});

/** Slab 0: gap, x, gap, neighbour. Slab 1: full. Scratch for x is there once they have been moved together. */
async function scattered(uploads: "queue" | "belt") {
  const rt = await openRuntime({
    budget: { deviceBytes: 32 * MiB, pinnedBytes: 6 * MiB },
    slabBytes: 16 * MiB,
    idleMs: Number.POSITIVE_INFINITY,
    uploads,
  });
  const before = full(rt, 4, 1, "before");
  const x = full(rt, 6, 99, "x");
  const between = full(rt, 4, 2, "between");
  const neighbour = full(rt, 2, 3, "neighbour");
  const rest = full(rt, 15, 4, "rest");
  await rt.sync();
  await x.data();
  // What a read of x has of pinned memory does not do for all of it.
  const eaten = [1, 2].map(() => rt.pinned.tensor({ shape: [mebi], dtype: "float32" }));
  if (uploads === "belt") eaten.pop()!.dispose();
  for (const gap of [before, between]) gap.dispose();
  await rt.sync();
  await soon();
  return { rt, x, neighbour, rest, eaten };
}

test.each([
  ["cleared", "queue", 0],
  ["written in part by way of the belt", "belt", 7],
] as const)("what is %s while it is read may have moved", async (_, uploads, value) => {
  const { rt, x, neighbour, rest, eaten } = await scattered(uploads);
  const reading = x.data();
  const part = uploads === "belt" ? x.slice([0, 64]) : x;
  if (uploads === "belt") rt.write(part, new Float32Array(64).fill(value));
  else rt.fill(x, value);
  // Where the belt has just made a buffer, work waits for it, and nothing is moved to make room.
  if (uploads === "belt") expect(await codeOfRejection(reading)).toBe("OUT_OF_MEMORY");
  else expectAll(await reading, 99);
  expectAll(await part.data(), value);
  if (part !== x) expectAll(await x.slice([64, 6 * mebi]).data(), 99);
  expectAll(await neighbour.data(), 3);
  expectAll(await rest.data(), 4);
  for (const tensor of [x, neighbour, rest, ...eaten]) tensor.dispose();
  await rt.dispose();
});

test("what is made smaller while it is read may have moved: no two tensors share memory", async () => {
  const rt = await openRuntime({
    budget: { deviceBytes: 32 * MiB, pinnedBytes: 4 * MiB },
    slabBytes: 16 * MiB,
    idleMs: Number.POSITIVE_INFINITY,
  });
  const before = full(rt, 3.5, 1, "before");
  const rows = rt.growable({ rowShape: [mebi], dtype: "float32", capacity: 7, label: "rows" });
  const between = full(rt, 3.5, 2, "between");
  const rest = [full(rt, 2, 3, "neighbour"), full(rt, 15, 4, "rest")];
  for (let row = 0; row < 6; row++) rows.append(new Float32Array(mebi).fill(10 + row));
  await rt.sync();
  await rows.view().data();
  for (const gap of [before, between]) gap.dispose();
  await rt.sync();
  await soon();
  const reading = rows.view().data();
  rows.trim();
  expectAll((await reading).subarray(5 * mebi), 15);
  const fresh: Tensor<"float32">[] = [];
  const fill = (): void => {
    for (let value = 1000; ; value++) fresh.push(full(rt, 1, value, `fresh ${value}`));
  };
  expect(codeOf(fill)).toBe("OUT_OF_MEMORY");
  expect(fresh.length).toBeGreaterThan(4);
  for (const [index, tensor] of fresh.entries()) expectAll(await tensor.data(), 1000 + index);
  for (const tensor of [rows, ...rest, ...fresh]) tensor.dispose();
  await rt.dispose();
});

/** 16 MiB of device memory, of which `y` and `z` have eleven. */
async function listened(pinnedBytes: number) {
  const rt = await openRuntime({
    budget: { deviceBytes: 16 * MiB, pinnedBytes },
    slabBytes: 16 * MiB,
    idleMs: Number.POSITIVE_INFINITY,
  });
  const [y, z] = [full(rt, 3, 99, "y"), full(rt, 8, 1, "z")];
  const small = rt.full([16, 16], 8, { dtype: "float32", label: "small" });
  await rt.sync();
  await y.data();
  await rt.sync();
  await soon();
  return { rt, y, z, small };
}

test("a listener who disposes what is being read changes no operation that needs memory", async () => {
  const { rt, y, z, small } = await listened(MiB);
  rt.onPressure(({ region }) => {
    if (region === "device") for (const tensor of [y, z]) tensor.dispose();
  });
  const reading = y.data();
  const made = full(rt, 6, 7, "made");
  expectAll(await made.data(), 7);
  expectAll(await reading, 99);
  for (const tensor of [made, small]) tensor.dispose();
  await rt.dispose();
});

test("a listener may run operations in the middle of another", async () => {
  const { rt, y, z, small } = await listened(8 * MiB);
  const saved: Promise<Float32Array>[] = [];
  rt.onPressure(({ region }) => {
    if (region !== "device") return;
    saved.push(small.transpose().data());
    z.dispose();
  });
  const made = full(rt, 6, 7, "made");
  expectAll(await made.data(), 7);
  for (const data of await Promise.all(saved)) expectAll(data, 8);
  expect(saved.length).toBe(1);
  for (const tensor of [made, y, small]) tensor.dispose();
  await rt.dispose();
});

test("a listener who disposes an operand ends the operation, and nothing of it is left", async () => {
  const { rt, y, z, small } = await listened(8 * MiB);
  rt.onPressure(({ region }) => {
    if (region === "device") z.dispose();
  });
  expect(codeOf(() => rt.add(z, 1))).toBe("USE_AFTER_DISPOSE");
  expect(rt.stats().deviceHeap.liveBytes).toBe(3 * MiB + KiB);
  for (const tensor of [y, small]) tensor.dispose();
  await rt.dispose();
});

test.each(["write", "fill", "assign"] as const)(
  "a listener who disposes what is about to change: %s says so, and touches nothing",
  async (how) => {
    const rt = await openRuntime({
      budget: { deviceBytes: 16 * MiB, pinnedBytes: 4 * MiB },
      slabBytes: 4 * MiB,
      idleMs: Number.POSITIVE_INFINITY,
    });
    const [b, x, source, z] = [2, 99, 5, 6].map((value) => full(rt, 3, value, `of ${value}`));
    await rt.sync();
    await x!.data();
    const eaten = [1, 2, 3].map(() => rt.pinned.tensor({ shape: [mebi], dtype: "float32" }));
    await rt.sync();
    await soon();
    let told = 0;
    rt.onPressure(({ region }) => {
      if (region !== "device") return;
      told++;
      for (const tensor of [x!, z!]) tensor.dispose();
    });
    const reading = x!.data();
    const change = {
      write: () => rt.write(x!, new Float32Array(3 * mebi).fill(7)),
      fill: () => rt.fill(x!, 7),
      assign: () => rt.assign(x!, source!),
    }[how];
    expect(codeOf(change)).toBe("USE_AFTER_DISPOSE");
    expect(told).toBeGreaterThan(0);
    expectAll(await reading, 99);
    expectAll(await b!.data(), 2);
    expectAll(await source!.data(), 5);
    for (const tensor of [b!, source!, z!, ...eaten]) tensor.dispose();
    await rt.dispose();
  },
);
