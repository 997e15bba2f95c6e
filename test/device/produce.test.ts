/** Tensors whose elements are written straight into staging: right whatever the size and the company. */

import { KiB, MiB } from "moorage";
import type { Tensor } from "moorage";
import { describe, expect, test } from "vitest";

import { buffersCreated, openRuntime, useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();

function fillFrom(start: number): (elements: Float32Array) => void {
  return (elements) => {
    for (let index = 0; index < elements.length; index++) elements[index] = start + index;
  };
}

function counting(count: number, start: number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(count);
  fillFrom(start)(all);
  return all;
}

/** A deep comparison of a million elements would take seconds. */
function expectSame(actual: Float32Array, expected: Float32Array): void {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
    Buffer.from(buffer, byteOffset, byteLength);
  expect(actual).toHaveLength(expected.length);
  expect(Buffer.compare(bytes(actual), bytes(expected))).toBe(0);
}

test.each([1, 3, 1000, 64 * KiB, 256 * KiB, 256 * KiB + 1, MiB])(
  "%d elements, beside others, on the heap and in a scope",
  async (count) => {
    const options = { shape: [count], dtype: "float32" } as const;
    const [a, b] = [rt().produce(options, fillFrom(1)), rt().produce(options, fillFrom(7))];
    const inScope = await rt().scope((s) => s.produce(options, fillFrom(3)).data());
    expectSame(await a.data(), counting(count, 1));
    expectSame(await b.data(), counting(count, 7));
    expectSame(inScope, counting(count, 3));
    for (const one of [a, b]) one.dispose();
  },
);

test("bytes that are no whole words, one behind the other", async () => {
  const made = Array.from({ length: 40 }, (_, index) =>
    rt().produce({ shape: [index + 1], dtype: "uint8" }, (elements) => elements.fill(index)),
  );
  for (const [index, tensor] of made.entries()) {
    expect(await tensor.data()).toEqual(new Uint8Array(index + 1).fill(index));
    tensor.dispose();
  }
});

test("in the order of the recording: what is written later is later, what is read before is before", async () => {
  const options = { shape: [1000], dtype: "float32" } as const;
  const x = rt().produce(options, fillFrom(0));
  const before = rt().add(x, 1);
  x.dispose();
  // It may get the memory of the one before.
  const y = rt().produce(options, fillFrom(500));
  expect(await before.data()).toEqual(counting(1000, 1));
  expect(await y.data()).toEqual(counting(1000, 500));
  for (const one of [before, y]) one.dispose();
});

test("the array is the function's alone, and what it throws leaves nothing behind", async () => {
  let kept: Float32Array | undefined;
  const options = { shape: [100], dtype: "float32" } as const;
  const x = rt().produce(options, (elements) => {
    kept = elements;
    elements.fill(1);
  });
  await rt().sync();
  expect(kept).toHaveLength(0);
  const error = new Error("user's own");
  const before = rt().stats().deviceHeap.liveBytes;
  expect(() =>
    rt().produce(options, () => {
      throw error;
    }),
  ).toThrow(error);
  expect(rt().stats().deviceHeap.liveBytes).toBe(before);
  expect(rt().live()).toHaveLength(1);
  expect(codeOf(() => rt().produce({ ...options, shape: [0] }, () => {}))).toBe("INVALID_LAYOUT");
  x.dispose();
});

test("a loop makes few buffers, however much it produces, and staging is bounded", async () => {
  const own = await openRuntime({ budget: { pinnedBytes: 16 * MiB } });
  const options = { shape: [32 * KiB], dtype: "float32" } as const;
  let last = own.produce(options, fillFrom(0));
  const before = buffersCreated();
  for (let round = 1; round < 600; round++) {
    last.dispose();
    last = own.produce(options, fillFrom(round));
    if (round % 50 === 0) await own.sync();
  }
  expectSame(await last.data(), counting(32 * KiB, 599));
  expect(buffersCreated() - before).toBeLessThanOrEqual(12);
  expect(own.stats().pinned.reserved.peak).toBeLessThanOrEqual(16 * MiB);
  last.dispose();
  await own.dispose();
});

test("without staging it is made through an array", async () => {
  const own = await openRuntime({ budget: { pinnedBytes: 4 * KiB } });
  const x = own.produce({ shape: [8], dtype: "float32" }, fillFrom(2));
  expect(await x.data()).toEqual(counting(8, 2));
  x.dispose();
  await own.dispose();
});

test("one in the place of another, in one task: the last is what is there, and the pass goes on", async () => {
  const options = { shape: [1000], dtype: "float32" } as const;
  const other = rt().zeros([1000], { dtype: "float32" });
  await rt().sync();
  const sum = rt().add(other, 1);
  let x = rt().produce(options, fillFrom(0));
  for (let round = 1; round < 5; round++) {
    x.dispose();
    x = rt().produce(options, fillFrom(round * 100));
  }
  const [y, z] = [rt().add(x, 1), rt().add(sum, other)];
  // Read by what is recorded before it: this one may not overtake that.
  x.dispose();
  const last = rt().produce(options, fillFrom(9000));
  expect(await y.data()).toEqual(counting(1000, 401));
  expect(await last.data()).toEqual(counting(1000, 9000));
  expect((await z.data())[999]).toBe(1);
  for (const one of [other, sum, y, z, last]) one.dispose();
});

describe("a function that does more than fill", () => {
  const options = { shape: [128 * KiB], dtype: "float32" } as const;

  test("may produce others meanwhile, more than a chunk holds", async () => {
    const inner: Tensor<"float32">[] = [];
    const outer = rt().produce(options, (elements) => {
      elements.fill(1);
      for (let index = 0; index < 12; index++) inner.push(rt().produce(options, fillFrom(index)));
      elements[0] = 2;
    });
    const read = await outer.data();
    expect([read[0], read[1], read.at(-1)]).toEqual([2, 1, 1]);
    for (const [index, tensor] of inner.entries()) {
      expectSame(await tensor.data(), counting(128 * KiB, index));
      tensor.dispose();
    }
    outer.dispose();
  });

  test.each([
    ["vanish", (elements: Float32Array) => void (elements[0] = 2)],
    ["throw", (elements: Float32Array) => void elements.fill(2)],
  ])("is told that it gave its memory away, where later writes %s", async (_, write) => {
    const before = rt().live().length;
    const error = caught(() =>
      rt().produce({ ...options, label: "hasty" }, (elements) => {
        elements.fill(1);
        rt().flush();
        write(elements);
      }),
    );
    expect(error.code).toBe("NOT_MAPPED");
    expect(error.message).toContain('"hasty"');
    expect(rt().live()).toHaveLength(before);
    const next = rt().produce(options, fillFrom(3));
    expectSame(await next.data(), counting(128 * KiB, 3));
    next.dispose();
  });
});

describe("produceAsync", () => {
  test("holds a fast producer back: a loop without any wait of its own has bounded staging", async () => {
    const own = await openRuntime({});
    const options = { shape: [256 * KiB], dtype: "float32" } as const;
    let last = await own.produceAsync(options, fillFrom(0));
    const kept = await own.produceAsync(options, fillFrom(5));
    for (let round = 1; round < 200; round++) {
      last.dispose();
      last = await own.produceAsync(options, (elements) => elements.fill(round));
    }
    expect(own.stats().pinned.reserved.peak).toBeLessThanOrEqual(24 * MiB);
    const read = await last.data();
    expect([read[0], read.at(-1)]).toEqual([199, 199]);
    expectSame(await kept.data(), counting(256 * KiB, 5));
    for (const one of [last, kept]) one.dispose();
    await own.dispose();
  });

  test("of more than a chunk, without staging, in a scope, and of what cannot be", async () => {
    const own = await openRuntime({ budget: { pinnedBytes: 64 * KiB } });
    for (const count of [8, 2 * MiB]) {
      const options = { shape: [count], dtype: "float32" } as const;
      const x = await own.produceAsync(options, fillFrom(2));
      expectSame(await x.data(), counting(count, 2));
      x.dispose();
    }
    const sum = await own.scope(async (s) => {
      const x = await s.produceAsync({ shape: [4], dtype: "float32" }, fillFrom(1));
      return s.sum(x).item();
    });
    expect(sum).toBe(10);
    const error = new Error("user's own");
    const failing = own.produceAsync({ shape: [4], dtype: "float32" }, () => {
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    const none = own.produceAsync({ shape: [0], dtype: "float32" }, () => {});
    expect(await codeOfRejection(none)).toBe("INVALID_LAYOUT");
    await own.dispose();
    const late = own.produceAsync({ shape: [4], dtype: "float32" }, () => {});
    expect(await codeOfRejection(late)).toBe("RUNTIME_DISPOSED");
  });
});
