/** A device is lost, and the runtime goes on with another: handles stay, and what has a source comes back. */

import type { MoorageError } from "moorage";
import type { NodeRuntimeOptions, Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import { loseDevice, openRuntime } from "../harness.ts";
import { codeOf, codeOfRejection, rejected } from "../support/caught.ts";

const four = { shape: [4], dtype: "float32" } as const;

function numbers(): Float32Array<ArrayBuffer> {
  return Float32Array.of(1, 2, 3, 4);
}

async function open(options: NodeRuntimeOptions = {}): Promise<Runtime> {
  return await openRuntime({ onLost: () => {}, onError: () => {}, ...options });
}

async function lose(rt: Runtime): Promise<MoorageError> {
  loseDevice(rt.device);
  return await rt.lost;
}

test("what has a source is there again, by the same handle, view and all; what has none says so", async () => {
  const rt = await open();
  const kept = rt.tensor(numbers(), { ...four, label: "kept", source: true });
  const view = kept.slice([1, 3]);
  const read = rt.tensor(numbers(), { ...four, label: "read", source: async () => numbers() });
  const gone = rt.tensor(numbers(), { ...four, label: "gone" });
  const computed = rt.add(kept, read, { label: "computed" });
  const reads = [kept.data(), computed.data()];
  await lose(rt);
  for (const pending of reads) {
    await pending.catch((error: MoorageError) => expect(error.code).toBe("DEVICE_LOST"));
  }
  expect(await codeOfRejection(kept.data())).toBe("DEVICE_LOST");
  const before = rt.device;
  const result = await rt.restore();
  expect(rt.device).not.toBe(before);
  expect(result.restored).toBe(2);
  expect(result.lost.toSorted()).toEqual(["computed", "gone"]);
  expect(await kept.data()).toEqual(numbers());
  expect(await view.data()).toEqual(Float32Array.of(2, 3));
  expect(await read.data()).toEqual(numbers());
  expect(kept.state).toBe("ready");
  for (const tensor of [gone, computed]) {
    expect(tensor.state).toBe("failed");
    expect(await rejected(tensor.data())).toMatchObject({
      code: "DEVICE_LOST",
      label: tensor.label,
    });
    // And so does what is computed from it.
    const next = rt.add(tensor, 1);
    expect(await codeOfRejection(next.data())).toBe("DEVICE_LOST");
    next.dispose();
  }
  rt.write(gone, Float32Array.of(5, 6, 7, 8));
  expect(await gone.data()).toEqual(Float32Array.of(5, 6, 7, 8));
  const sum = await rt.scope((s) => s.sum(s.multiply(kept, gone)).item());
  expect(sum).toBe(70);
  for (const tensor of [kept, read, gone, computed]) tensor.dispose();
  expect(rt.stats().deviceHeap.liveBytes).toBe(0);
  await rt.dispose();
});

describe("a source tells no more", () => {
  test.each([
    ["filled", (rt: Runtime, x) => rt.fill(x, 0)],
    ["written", (rt: Runtime, x) => rt.write(x, new Float32Array(4))],
    ["assigned", (rt: Runtime, x, other) => rt.assign(x, other)],
    [
      "assigned in part",
      (rt: Runtime, x, other) => rt.assign(x.slice([0, 1]), other.slice([0, 1])),
    ],
  ] as const satisfies readonly (readonly [
    string,
    (rt: Runtime, x: ReturnType<typeof tensorOf>, other: ReturnType<typeof tensorOf>) => void,
  ])[])("once the tensor is %s", async (_, change) => {
    const rt = await open();
    const x = tensorOf(rt);
    const other = tensorOf(rt);
    change(rt, x, other);
    await rt.sync();
    await lose(rt);
    expect(await rt.restore()).toEqual({ restored: 1, lost: ["x"] });
    rt.write(x, numbers(), { source: true });
    await lose(rt);
    expect(await rt.restore()).toEqual({ restored: 2, lost: [] });
    expect(await x.data()).toEqual(numbers());
    x.dispose();
    other.dispose();
    await rt.dispose();
  });
});

function tensorOf(rt: Runtime) {
  return rt.tensor(numbers(), { ...four, label: "x", source: true });
}

test("ten losses in a row, with work in flight at each", async () => {
  const rt = await open();
  const x = rt.tensor(numbers(), { ...four, source: true });
  for (let round = 0; round < 10; round++) {
    const pending = rt.scope(async (s) => {
      let y = s.add(x, round);
      for (let step = 0; step < round; step++) y = s.multiply(y, 2);
      return await y.data();
    });
    if (round % 2 === 1) await Promise.resolve();
    loseDevice(rt.device);
    // It may have been quicker than the loss.
    await pending.catch((error: MoorageError) => expect(error.code).toBe("DEVICE_LOST"));
    await rt.lost;
    expect(await rt.restore()).toEqual({ restored: 1, lost: [] });
    expect(await x.data()).toEqual(numbers());
  }
  x.dispose();
  await rt.dispose();
});

test("pinned memory is lost, and new is to be had", async () => {
  const rt = await open();
  const staging = rt.pinned.tensor({ ...four, label: "staging" });
  await lose(rt);
  await rt.restore();
  expect(codeOf(() => staging.data)).toBe("NOT_MAPPED");
  staging.dispose();
  const fresh = rt.pinned.tensor(four);
  fresh.data.set(numbers());
  const x = rt.upload(fresh);
  expect(await x.data()).toEqual(numbers());
  await fresh.mapped();
  for (const one of [fresh, x]) one.dispose();
  await rt.dispose();
});

test("a source that fails or gives another size is told, and harms no other", async () => {
  const rt = await open();
  const failure = new Error("reader's own");
  const bad = rt.tensor(numbers(), {
    ...four,
    label: "bad",
    source: () => {
      throw failure;
    },
  });
  const short = rt.tensor(numbers(), {
    ...four,
    label: "short",
    source: () => new Float32Array(3),
  });
  const good = rt.tensor(numbers(), { ...four, label: "good", source: true });
  await lose(rt);
  expect(await rt.restore()).toEqual({ restored: 1, lost: ["bad", "short"] });
  expect(await rejected(bad.data())).toMatchObject({ code: "DEVICE_LOST", cause: failure });
  expect((await rejected(short.data())).message).toContain("12 bytes");
  expect(await good.data()).toEqual(numbers());
  for (const one of [bad, short, good]) one.dispose();
  await rt.dispose();
});

test("there is nothing to restore before a loss, or after the end; no device is an error that may pass", async () => {
  let fails = false;
  const rt = await open();
  expect(await codeOfRejection(rt.restore())).toBe("INVALID_ARGUMENT");
  await rt.dispose();
  expect(await codeOfRejection(rt.restore())).toBe("RUNTIME_DISPOSED");
  const { openAdapter } = await import("moorage/node");
  const picky = await open({
    requestAdapter: async () => {
      if (fails) throw new Error("no adapter today");
      return (await openAdapter()).adapter;
    },
  });
  await lose(picky);
  fails = true;
  await expect(picky.restore()).rejects.toThrow("no adapter today");
  fails = false;
  await picky.restore();
  await picky.dispose();
});
