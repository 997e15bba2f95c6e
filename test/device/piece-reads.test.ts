/**
 * Large reads go through a few buffers in turn, and yet show the tensor as it was when it was asked for:
 * whatever happens to it afterwards, in the same task or while pieces of it are still to be copied.
 */

import { defineElementwise, MiB } from "moorage";
import type { Tensor } from "moorage";
import type { Runtime } from "moorage/node";
import { describe, expect, test } from "vitest";

import { liveBufferBytes, openRuntime, useRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

/** More than the buffers that take turns hold together. */
const count = (13 * MiB) / 4 + 3;

const values = Float32Array.from({ length: count }, (_, index) => index % 65_521);

/** A test that says which element is off, in no time: `toEqual` takes seconds for so many. */
function expectSame(actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(actual.length).toBe(expected.length);
  for (let index = 0; index < expected.length; index++) {
    if (actual[index] !== expected[index])
      expect.fail(`element ${index} is ${actual[index]}, not ${expected[index]}`);
  }
}

function made(on: Runtime, label = "x"): Tensor<"float32"> {
  return on.tensor(values, { shape: [count], dtype: "float32", label });
}

/** What ends or overwrites a tensor, and cleans up after the read. */
type Change = (on: Runtime, x: Tensor<"float32">) => (() => void) | Promise<() => void> | void;

const changes: Record<string, Change> = {
  "an array is written into it": (on, x) => on.write(x, new Float32Array(count)),
  "a part of it is written": (on, x) => {
    on.write(x.slice([count - 64, count]), new Float32Array(64));
  },
  "a kernel fills it": (on, x) => on.fill(x, -1),
  "another tensor is copied into it": (on, x) => {
    const zeros = on.zeros([count], { dtype: "float32", label: "zeros" });
    on.assign(x, zeros);
    return () => zeros.dispose();
  },
  "pinned memory goes into it": (on, x) => {
    const pinned = on.pinned.tensor({ shape: [count], dtype: "float32", label: "pinned" });
    pinned.data.fill(-1);
    on.write(x, pinned);
    return () => pinned.dispose();
  },
  "it is disposed, and others take its place": (on, x) => {
    x.dispose();
    const others = [1, 2].map((value) => on.full([count], value, { dtype: "float32" }));
    return () => {
      for (const other of others) other.dispose();
    };
  },
  "it is moved together with others": async (on, x) => {
    const before = on.empty([count], { dtype: "float32", label: "before" });
    before.dispose();
    await on.compact();
    on.fill(x, -1);
    return () => {};
  },
  "it is streamed into, through staging that is at hand": (on, x) => {
    const writing = on.writeFrom(x, (piece) => piece.fill(0), { windowBytes: 16 * MiB });
    return writing.then(() => () => {});
  },
  "it is lent, and overwritten there": async (on, x) => {
    const lease = await on.lend(x);
    on.device.queue.writeBuffer(lease.buffer, lease.offset, new Float32Array(count));
    return () => lease.dispose();
  },
  "nothing happens": () => {},
};

describe.each(Object.entries(changes))("%s", (_, change) => {
  test("in the task of the call", async () => {
    const x = made(rt());
    const reading = x.data();
    const clean = await change(rt(), x);
    expectSame(await reading, values);
    clean?.();
    x.dispose();
  });

  test("between two pieces", async () => {
    const x = made(rt());
    const reading = rt().read(x, { into: new Float32Array(count) });
    while (reading.status === "waiting") await new Promise((resolve) => setImmediate(resolve));
    const clean = await change(rt(), x);
    expectSame(await reading, values);
    clean?.();
    x.dispose();
  });

  test("with little staging, and behind work that waits", async () => {
    const on = await openRuntime({ budget: { pinnedBytes: 24 * MiB } });
    const own = defineElementwise({
      label: `held ${_}`,
      inputs: ["a"],
      output: "float32",
      expression: "a + 0.0",
    });
    const source = made(on, "source");
    // The first run of a kernel of one's own holds back what follows.
    const x = on.map(own, [source]);
    const held = on.pinned.tensor({ shape: [2 * MiB], dtype: "float32", label: "takes 8 MiB" });
    const readings = [x.data(), x.data()];
    const pinned = _ === "pinned memory goes into it";
    const clean = pinned ? on.fill(x, -1) : await change(on, x);
    for (const reading of readings) expectSame(await reading, values);
    clean?.();
    for (const tensor of [held, source, x]) tensor.dispose();
    await on.dispose();
  });
});

test("scratch is read as it was, when its scope ends, and when it is kept and written", async () => {
  let early!: Promise<Float32Array>;
  const kept = await rt().scope(async (s) => {
    const x = s.tensor(values, { shape: [count], dtype: "float32", label: "scratch" });
    early = x.data();
    const y = s.tensor(values, { shape: [count], dtype: "float32", label: "kept" });
    const before = y.data();
    const heir = s.keep(y);
    rt().fill(heir, -1);
    expectSame(await before, values);
    return heir;
  });
  const over = rt().full([count], 7, { dtype: "float32", label: "over" });
  expectSame(await early, values);
  for (const tensor of [kept, over]) tensor.dispose();
});

test("what shows another's memory is read as it was, after its scope has ended", async () => {
  let reading!: Promise<Float32Array>;
  const heir = await rt().scope(async (s) => {
    const x = s.tensor(values, { shape: [count], dtype: "float32", label: "x" });
    const kept = s.keep(x);
    reading = x.data();
    return kept;
  });
  const other = rt().full([count], 3, { dtype: "float32", label: "other" });
  rt().fill(heir, 5);
  expectSame(await reading, values);
  for (const tensor of [heir, other]) tensor.dispose();
});

test("a wrapped buffer may be written by its owner as soon as the call has returned", async () => {
  const { device } = rt();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = device.createBuffer({ label: "theirs", size: 4 * count, usage });
  device.queue.writeBuffer(buffer, 0, values);
  const x = rt().wrap(buffer, { shape: [count], dtype: "float32", label: "wrapped" });
  // The buffers that take turns are there already: nothing holds the copies back.
  await x.data();
  const reading = x.data();
  device.queue.writeBuffer(buffer, 0, new Float32Array(count));
  const read = await reading;
  expectSame(read, values);
  x.dispose();
  buffer.destroy();
});

test("a kernel that overwrites what is read keeps its parameters, where the rest is copied by another", async () => {
  // One slab: the scratch lies in it too, where only a kernel copies. And no staging for the rest.
  const on = await openRuntime({ slabBytes: 64 * MiB, budget: { pinnedBytes: 2 * MiB } });
  const x = made(on);
  await on.sync();
  const reading = x.data();
  on.fill(x, 5);
  expectSame(await reading, values);
  const read = await x.data();
  expect([read[0], read[count - 1]]).toEqual([5, 5]);
  expect(on.stats().slabs.count).toBe(1);
  x.dispose();
  await on.dispose();
});

describe("staging", () => {
  test("is bounded, however large the tensor, and is there for the next read", async () => {
    const on = await openRuntime({});
    const large = on.zeros([(64 * MiB) / 4], { dtype: "float32", label: "large" });
    await on.sync();
    const before = liveBufferBytes(on.device);
    const read = await large.data();
    expect(read.every((value) => value === 0)).toBe(true);
    expect(liveBufferBytes(on.device) - before).toBeLessThanOrEqual(8 * MiB);
    const { allocationCount, freeCount, liveBytes, failedCount } = on.stats().pinned;
    expect([freeCount, liveBytes, failedCount]).toEqual([allocationCount, 0, 0]);
    large.dispose();
    await on.dispose();
  });

  test("comes back from a read that is stopped, and from one whose consumer throws", async () => {
    const on = await openRuntime({ budget: { pinnedBytes: 8 * MiB } });
    const x = made(on);
    const stop = new AbortController();
    const stopped = on.read(x, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(stopped).rejects.toThrow("enough");
    const thrown = on.readTo(x, (_piece, offset) => {
      if (offset > 0) throw new RangeError("the consumer's");
    });
    await expect(thrown).rejects.toThrow(new RangeError("the consumer's"));
    await on.sync();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(on.stats().pinned.liveBytes).toBe(0);
    expectSame(await x.data(), values);
    x.dispose();
    await on.dispose();
  });

  test("of one that is under way is waited for by dispose(), and its bytes are all there", async () => {
    const on = await openRuntime({});
    const x = made(on);
    const reading = x.data();
    const disposed = on.dispose();
    x.dispose();
    expectSame(await reading, values);
    await disposed;
    expect(await codeOfRejection(Promise.resolve().then(() => on.sync()))).toBe("RUNTIME_DISPOSED");
  });

  test("is told to whoever watches allocations, begin and end", async () => {
    const on = await openRuntime({ diagnostics: {} });
    const x = made(on);
    await x.data();
    const outstanding = on.diagnostics!.outstanding().map(({ label }) => label);
    expect(outstanding).toEqual(["x"]);
    x.dispose();
    on.diagnostics!.assertNoLeaks();
    await on.dispose();
  });
});
