/** What a runtime holds of the device: budgets, reserving, trimming, counting; and what is read of it. */

import { MiB } from "moorage";
import { expect, test } from "vitest";

import { buffersCreated, liveBufferBytes, openRuntime } from "../harness.ts";
import { put, useStrictRuntime, withRuntime } from "../support/device.ts";
import { decode, made, sliced, transposed } from "../support/reference.ts";

const rt = useStrictRuntime();

test("past the budget is an error at the call, which names the sizes", async () => {
  await withRuntime({ budget: { deviceBytes: 4 * MiB } }, async (small) => {
    using first = small.empty([MiB / 2], { dtype: "float32", label: "first" });
    let error: unknown;
    try {
      small.empty([MiB], { dtype: "float32", label: "second" });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({
      code: "OUT_OF_MEMORY",
      label: "second",
      requestedBytes: 4 * MiB,
      availableBytes: 2 * MiB,
    });
    expect((error as Error).message).toMatch(
      /"second" needs 4194304 bytes.*4194304.*2097152 of them free.*dispose/,
    );
    expect(small.stats().deviceHeap.failedCount).toBe(1);
    expect(first.state).toBe("ready");
    await expect(small.scope((s) => s.require(3 * MiB))).rejects.toMatchObject({
      code: "OUT_OF_MEMORY",
    });
    first.dispose();
    using second = small.full([MiB], 3, { dtype: "float32", label: "second" });
    expect(await second.slice(-1).item()).toBe(3);
    // What does not fit in the middle of an operation gives back what it had.
    expect(() => small.add(second, 1)).toThrowError(
      expect.objectContaining({ code: "OUT_OF_MEMORY" }),
    );
    expect(() => small.softmax(second, { axis: 0 })).toThrowError(
      expect.objectContaining({ code: "OUT_OF_MEMORY" }),
    );
    expect(small.live().map(({ label }) => label)).toEqual(["second"]);
    expect(small.stats().deviceArena.reservedBytes).toBe(0);
  });
  for (const budget of [
    { deviceBytes: 0 },
    { pinnedBytes: NaN },
    { totalBytes: -1 },
    { hotBytes: Infinity },
  ])
    await expect(openRuntime({ budget })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

test("all buffers together stay within the total budget", async () => {
  await withRuntime(
    { budget: { deviceBytes: 2 * MiB, totalBytes: 3 * MiB }, slabBytes: MiB },
    async (small) => {
      using x = small.full([MiB / 4], 1, { dtype: "float32" });
      expect(() => small.empty([MiB], { dtype: "float32" })).toThrowError(
        /OUT_OF_MEMORY|bytes of device memory/,
      );
      using y = small.sum(x);
      expect(await y.item()).toBe(MiB / 4);
      expect(liveBufferBytes(small.device)).toBeLessThanOrEqual(3 * MiB);
      expect(small.stats().gpuBuffers.peakBytes).toBeLessThanOrEqual(3 * MiB);
      expect(small.stats().gpuBuffers.liveBytes).toBe(liveBufferBytes(small.device));
    },
  );
});

test("reserve() makes what follows need no buffer; trim() gives empty slabs back", async () => {
  await withRuntime({}, async (own) => {
    await own.reserve(10 * MiB);
    const created = buffersCreated();
    const x = own.full([2 * MiB], 1, { dtype: "float32" });
    const y = own.empty([100], { dtype: "uint8" });
    expect(buffersCreated()).toBe(created);
    await own.reserve(MiB);
    expect(buffersCreated()).toBe(created);
    x.dispose();
    own.trim();
    expect(own.stats().slabs.count).toBe(1);
    y.dispose();
    own.trim();
    expect(own.stats().slabs).toMatchObject({
      count: 0,
      reservedBytes: 0,
      peakReservedBytes: 10 * MiB,
    });
    expect(own.stats().gpuBuffers.liveBytes).toBe(liveBufferBytes(own.device));
    using z = own.full([3], 2, { dtype: "float32" });
    expect(await z.toArray()).toEqual([2, 2, 2]);
  });
});

test("what is read: any length of any dtype, views, scalars, nested arrays", async () => {
  await rt().scope(async (s) => {
    for (const dtype of ["uint8", "float16", "float32"] as const) {
      for (const length of [1, 2, 3, 5, 255, 257, 1023]) {
        const x = made(dtype, [length], length);
        expect(decode(dtype, await put(s, x).data()), `${dtype} ${length}`).toEqual(x.values);
        expect(
          decode(
            dtype,
            await put(s, x)
              .slice([length - 1, length])
              .data(),
          ),
        ).toEqual(x.values.slice(-1));
      }
    }
    const x = made("uint8", [4, 5, 3], 9);
    const given = put(s, x);
    const view = given.transpose([2, 0, 1]).slice([1, 3], [0, 4, 2]);
    const should = sliced(transposed(x, [2, 0, 1]), [
      [1, 3],
      [0, 4, 2],
      [0, 5],
    ]);
    expect(decode("uint8", await view.data())).toEqual(should.values);
    const nested = (await given.toArray()) as number[][][];
    expect([nested.length, nested[0]!.length, nested[3]![4]!.length]).toEqual([4, 5, 3]);
    expect(nested[3]![4]![2]).toBe(x.values.at(-1));
    const half = s.tensor(Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x7c00), {
      shape: [2, 2],
      dtype: "float16",
    });
    expect(await half.toArray()).toEqual([
      [1, -2],
      [0.333251953125, Infinity],
    ]);
    expect(await half.slice(0, 1).item()).toBe(-2);
    expect(await half.slice(1).slice([0, 1]).item()).toBe(0.333251953125);
    const scalar = s.full([], 7, { dtype: "int32" });
    expect([await scalar.item(), await scalar.toArray(), scalar.shape, scalar.size]).toEqual([
      7,
      7,
      [],
      1,
    ]);
    await expect(half.item()).rejects.toThrowError(/needs one element/);
  });
});

test("reads of one task see their own moment", async () => {
  using x = rt().full([6], 1, { dtype: "float32" });
  const reads = [];
  for (let n = 2; n < 8; n++) {
    reads.push(x.slice([0, 1]).item());
    if (n % 2 === 0) rt().fill(x, n);
    else rt().write(x, new Float32Array(6).fill(n));
  }
  expect(await Promise.all(reads)).toEqual([1, 2, 3, 4, 5, 6]);
});

test("bad data is refused at the call, and leaves nothing", () => {
  const make =
    (data: ArrayBufferView, shape: number[], dtype: "float32" | "uint8" = "float32") =>
    () =>
      rt().tensor(data as never, { shape, dtype, label: "bad" });
  expect(make(new Float32Array(4), [5])).toThrowError(/5 elements, but was given 4/);
  expect(make(new Float64Array(4), [4])).toThrowError(/Float64Array; pass a Float32Array/);
  expect(make(new Float32Array(4), [4], "uint8")).toThrowError(/pass a Uint8Array/);
  expect(make(new Float32Array(0), [0])).toThrowError(/zero-sized/);
  expect(make(new Float32Array(1), [2 ** 30, 2 ** 30])).toThrowError(
    expect.objectContaining({ code: "SIZE_OVERFLOW" }),
  );
  using x = rt().tensor(new Float32Array(4), { shape: [4], dtype: "float32" });
  expect(() => rt().write(x, new Float32Array(3))).toThrowError(/was given 3/);
  expect(() => rt().write(x, new Int32Array(4) as never)).toThrowError(
    expect.objectContaining({ code: "UNSUPPORTED_DTYPE" }),
  );
  using whole = rt().pinned.tensor({ shape: [4], dtype: "int32" });
  expect(() => rt().write(x, whole as never)).toThrowError(
    expect.objectContaining({ code: "UNSUPPORTED_DTYPE" }),
  );
  expect(whole.state).toBe("mapped");
  expect(() => rt().add({ dtype: "float32", shape: [4], label: "fake" }, 1)).toThrowError(/"fake"/);
});

test("dispatches and submissions are counted; flush() submits, sync() waits", async () => {
  const before = rt().stats();
  using x = rt().full([16], 1, { dtype: "float32" });
  using y = rt().add(x, 1);
  await rt().sync();
  const after = rt().stats();
  expect(after.dispatchCount - before.dispatchCount).toBe(2);
  expect(after.submitCount).toBeGreaterThan(before.submitCount);
  using z = rt().add(y, 1);
  expect(rt().stats().submitCount).toBe(after.submitCount);
  rt().flush();
  expect(rt().stats().submitCount).toBe(after.submitCount + 1);
  rt().flush();
  expect(rt().stats().submitCount).toBe(after.submitCount + 1);
  rt().fill(z, 5);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(rt().stats().submitCount, "the end of the task submits").toBe(after.submitCount + 2);
  expect(rt().report()).toContain(`${rt().stats().dispatchCount} dispatches`);
});
