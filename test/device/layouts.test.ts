/** Operands that lie anyhow: broadcast, transposed, sliced, with steps, at any offset. */

import {
  array,
  assert as assertProperty,
  asyncProperty,
  constantFrom,
  integer,
  record,
} from "fast-check";
import { dtypes } from "moorage";
import type { DType } from "moorage";
import { expect, test } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import { made, random, sliced, store, transposed, zipped } from "../support/reference.ts";

const rt = useStrictRuntime();
const { exact, rounded } = tolerance;
/** Differences of numbers near each other lose relative precision. */
const difference = { relative: 4e-7, absolute: 1e-6 };

/** Exact for floats, so that rounding is left to the tolerance; integers wrap. */
const kept = (dtype: DType, value: number): number =>
  dtype.startsWith("float") ? value : store(dtype, value);
const plus = (dtype: DType) => (a: number, b: number) => kept(dtype, a + b);
const minus = (dtype: DType) => (a: number, b: number) => kept(dtype, a - b);

const shapes: readonly (readonly [number[], number[]])[] = [
  [[4, 6], [6]],
  [
    [4, 6],
    [4, 1],
  ],
  [
    [4, 1],
    [1, 6],
  ],
  [[], [3, 5]],
  [[1], [7]],
  [
    [2, 1, 5],
    [3, 1],
  ],
  [
    [1, 1, 3],
    [2, 4, 3],
  ],
  [
    [2, 3, 1, 2, 3],
    [3, 4, 1, 3],
  ],
  [
    [2, 1, 3, 1, 2, 3],
    [1, 2, 1, 2, 1, 3],
  ],
  [
    [3, 1, 1, 1],
    [1, 1, 1],
  ],
];
test.each(shapes)("broadcast %j with %j", async (left, right) => {
  for (const dtype of dtypes) {
    const [a, b] = [made(dtype, left, 31), made(dtype, right, 32)];
    const should = zipped(a, b, minus(dtype));
    await rt().scope(async (s) => {
      const limit = difference;
      await expectTensor(s.subtract(put(s, a), put(s, b)), should, limit, dtype);
      await expectTensor(
        s.subtract(putInside(s, a), putInside(s, b, 1)),
        should,
        limit,
        `${dtype}, misaligned`,
      );
    });
  }
});

test("shapes that do not broadcast are refused by name", async () => {
  await rt().scope((s) => {
    const [a, b] = [put(s, made("float32", [2, 3])), put(s, made("float32", [3, 2]))];
    expect(() => s.add(a, b)).toThrowError(/\[2, 3\].*\[3, 2\]/);
    expect(() => s.add(a, s.cast(a, "int32"))).toThrowError(/cast\(\)/);
  });
});

test("any view of any tensor: transposed, sliced with steps, at any offset", async () => {
  const view = record({
    dtype: constantFrom(...dtypes),
    shape: array(integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 5 }),
    order: integer({ min: 0, max: 1e6 }),
    seed: integer({ min: 1, max: 1e6 }),
    before: integer({ min: 0, max: 5 }),
  });
  await assertProperty(
    asyncProperty(view, async ({ dtype, shape, order, seed, before }) => {
      const next = random(order);
      const axes = shape
        .map((_, axis) => ({ axis, key: next() }))
        .sort((a, b) => a.key - b.key)
        .map(({ axis }) => axis);
      const ranges = axes.map((axis) => {
        const start = Math.floor(next() * shape[axis]!);
        return [
          start,
          start + 1 + Math.floor(next() * (shape[axis]! - start)),
          1 + Math.floor(next() * 3),
        ] as const;
      });
      const x = made(dtype, shape, seed);
      const part = sliced(transposed(x, axes), ranges);
      await rt().scope(async (s) => {
        const seen = putInside(s, x, before)
          .transpose(axes)
          .slice(...ranges);
        await expectTensor(seen, part, exact, "read");
        await expectTensor(s.copy(seen), part, exact, "copy");
        await expectTensor(s.add(seen, seen), zipped(part, part, plus(dtype)), rounded, "add");
      });
    }),
    { numRuns: 60, seed: 7 },
  );
});

test("rank 6, transposed, broadcast against a slice", async () => {
  const x = made("float32", [2, 3, 2, 3, 2, 4], 41);
  const y = made("float32", [3, 1, 5], 42);
  const [axes, ranges] = [
    [5, 1, 3, 0, 4, 2],
    [
      [0, 4],
      [0, 3, 2],
      [0, 3],
      [0, 2],
      [0, 2],
      [0, 2],
    ],
  ] as const;
  await rt().scope(async (s) => {
    const a = put(s, x)
      .transpose(axes)
      .slice(...ranges);
    const b = put(s, y).slice([0, 2], null, [1, 5, 2]);
    const should = zipped(
      sliced(transposed(x, axes), ranges),
      sliced(y, [
        [0, 2],
        [0, 1],
        [1, 5, 2],
      ]),
      (p, q) => p * q,
    );
    await expectTensor(s.multiply(a, b), should, rounded, "rank 6");
  });
});

test("rank 8, with no two axes that merge, in more than one dtype", async () => {
  // A float16 tensor first: its kernel must not be taken for that of many axes.
  const x = made("float32", [2, 2, 2, 2, 2, 2, 2, 4], 43);
  const ranges = x.shape.map((extent, axis) => [0, extent, axis === 7 ? 2 : 1] as const);
  const axes = [7, 5, 3, 1, 6, 4, 2, 0];
  const part = transposed(sliced(x, ranges), axes);
  await rt().scope(async (s) => {
    const half = { ...part, dtype: "float16" as const };
    await expectTensor(s.cast(put(s, half), "float32"), part, tolerance.float16, "float16");
    const view = put(s, x)
      .slice(...ranges)
      .transpose(axes);
    await expectTensor(s.cast(view, "float32"), part, exact, "rank 8");
  });
});
