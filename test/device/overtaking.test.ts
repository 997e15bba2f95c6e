/**
 * `writeBuffer` and hoisted copies overtake what is recorded. None of these may change the result of
 * work that was recorded earlier, whatever the memory is called by then.
 */

import { describe, expect, test } from "vitest";

import type { Tensor } from "../../src/index.ts";
import { useRuntime } from "../harness.ts";

const rt = useRuntime();
const count = 4096;
const shape = [count];

/** Ways to bring a constant into an existing tensor. */
const writers: readonly [string, (target: Tensor<"float32">, value: number) => void][] = [
  ["an array", (target, value) => rt().write(target, new Float32Array(count).fill(value))],
  [
    "pinned memory",
    (target, value) => {
      using image = rt().pinned.tensor({ shape, dtype: "float32", label: "source" });
      image.data.fill(value);
      rt().write(target, image);
    },
  ],
];

function constant(value: number, label: string): Tensor<"float32"> {
  return rt().tensor(new Float32Array(count).fill(value), { shape, dtype: "float32", label });
}

async function expectAll(tensor: Tensor<"float32">, value: number): Promise<void> {
  const wrong = Array.from(await tensor.data()).filter((element) => element !== value);
  expect(wrong, `elements of "${tensor.label}" that are not ${value}`).toEqual([]);
}

describe.each(writers)("a write from %s", (_, write) => {
  test("does not reach work recorded before it, and reaches work after it", async () => {
    using x = constant(1, "x");
    await rt().sync();
    using before = rt().multiply(x, 10, { label: "before" });
    write(x, 2);
    using after = rt().multiply(x, 10, { label: "after" });
    write(x, 3);
    await expectAll(before, 10);
    await expectAll(after, 20);
    await expectAll(x, 3);
    await rt().pinned.settled();
  });

  test("does not go below a recorded write to the same tensor", async () => {
    using x = constant(1, "x");
    await rt().sync();
    rt().fill(x, 5);
    write(x, 6);
    await expectAll(x, 6);
    rt().fill(x, 7);
    await expectAll(x, 7);
    await rt().pinned.settled();
  });

  test("into recycled memory that recorded work still reads does not change that work", async () => {
    const offset = (tensor: Tensor<"float32">): number => tensor.block.byteOffset;
    const x = constant(1, "x");
    await rt().sync();
    using y = rt().multiply(x, 10, { label: "y" });
    const place = offset(x);
    x.dispose();
    using z = rt().empty(shape, { dtype: "float32", label: "z" });
    expect(offset(z), "z is where x was").toBe(place);
    write(z, 99);
    await expectAll(y, 10);
    await expectAll(z, 99);
    await rt().pinned.settled();
  });

  test("into recycled memory that recorded work still writes comes last", async () => {
    const x = rt().full(shape, 4, { dtype: "float32", label: "x" });
    const place = x.block.byteOffset;
    x.dispose();
    using z = rt().empty(shape, { dtype: "float32", label: "z" });
    expect(z.block.byteOffset).toBe(place);
    write(z, 8);
    await expectAll(z, 8);
    await rt().pinned.settled();
  });

  test("a long chain of writes and reads keeps its order, with reads in between", async () => {
    using x = constant(0, "x");
    using total = rt().zeros(shape, { dtype: "float32", label: "total" });
    const seen: Promise<void>[] = [];
    let expected = 0;
    for (let step = 1; step <= 20; step++) {
      write(x, step);
      using sum = rt().add(total, x, { label: `sum ${step}` });
      rt().assign(total, sum);
      expected += step;
      if (step % 7 === 0) seen.push(expectAll(total, expected));
    }
    await Promise.all(seen);
    await expectAll(total, expected);
    await rt().pinned.settled();
  });

  test("a read that was asked for earlier does not see it", async () => {
    using x = constant(1, "x");
    const reading = x.data();
    write(x, 2);
    expect(new Set(await reading)).toEqual(new Set([1]));
    await expectAll(x, 2);
    await rt().pinned.settled();
  });
});

test("the array may be changed as soon as the call returns", async () => {
  const data = new Float32Array(count).fill(1);
  using x = rt().tensor(data, { shape, dtype: "float32", label: "x" });
  data.fill(2);
  // A fresh slab is provisional: what is recorded meanwhile waits, and must not see later changes.
  using large = rt().empty([3 * 2 ** 20], { dtype: "float32", label: "large" });
  rt().write(x, data);
  data.fill(3);
  await expectAll(x, 2);
  expect(large.state).toBe("ready");
});
