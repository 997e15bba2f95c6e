/** Matrix products: odd sizes, batches that broadcast, operands that lie anyhow. */

import { assert as assertProperty, asyncProperty, integer } from "fast-check";
import { expect, test } from "vitest";

import { expectTensor, put, putInside, tolerance, useStrictRuntime } from "../support/device.ts";
import { made, product, sliced, transposed } from "../support/reference.ts";

const rt = useStrictRuntime();
const limit = { relative: 1e-5, absolute: 2e-4 };

test.each([
  [
    [1, 1],
    [1, 1],
  ],
  [
    [3, 5],
    [5, 7],
  ],
  [
    [4, 4],
    [4, 4],
  ],
  [
    [8, 12],
    [12, 20],
  ],
  [
    [5, 8],
    [8, 4],
  ],
  [
    [33, 31],
    [31, 37],
  ],
  [
    [64, 100],
    [100, 36],
  ],
  [
    [1, 300],
    [300, 1],
  ],
  [
    [2, 3, 5],
    [5, 4],
  ],
  [
    [3, 5],
    [4, 5, 2],
  ],
  [
    [2, 1, 3, 4],
    [5, 4, 8],
  ],
  [
    [2, 3, 4, 4],
    [2, 3, 4, 4],
  ],
  [
    [1, 3, 4, 8],
    [2, 1, 8, 4],
  ],
])("%j times %j", async (left, right) => {
  const [a, b] = [made("float32", left, 91), made("float32", right, 92)];
  const should = product(a, b);
  await rt().scope(async (s) => {
    await expectTensor(s.matmul(put(s, a), put(s, b)), should, limit, "plain");
    await expectTensor(
      s.matmul(putInside(s, a, 1), putInside(s, b, 3)),
      should,
      limit,
      "misaligned",
    );
    await expectTensor(
      s.matmul(putInside(s, a, 4), putInside(s, b, 8)),
      should,
      limit,
      "at an aligned offset",
    );
    const [ta, tb] = [transposed(a, order(left.length)), transposed(b, order(right.length))];
    const [flippedA, flippedB] = [
      put(s, ta).transpose(order(left.length)),
      put(s, tb).transpose(order(right.length)),
    ];
    await expectTensor(s.matmul(flippedA, put(s, b)), should, limit, "a transposed");
    await expectTensor(s.matmul(put(s, a), flippedB), should, limit, "b transposed");
    await expectTensor(s.matmul(flippedA, flippedB), should, limit, "both transposed");
  });
});

/** The last two axes exchanged. */
function order(rank: number): number[] {
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return [...axes.slice(0, -2), rank - 1, rank - 2];
}

test("any sizes of any slices", async () => {
  const extent = integer({ min: 1, max: 13 });
  await assertProperty(
    asyncProperty(
      extent,
      extent,
      extent,
      integer({ min: 0, max: 5 }),
      integer({ min: 1, max: 3 }),
      async (m, k, n, skip, step) => {
        const a = made("float32", [m + skip, k * step], 93);
        const b = made("float32", [k, n + skip], 94);
        const [rows, columns] = [[skip, m + skip] as const, [skip, n + skip] as const];
        const should = product(
          sliced(a, [rows, [0, k * step, step]]),
          sliced(b, [[0, k], columns]),
        );
        await rt().scope(async (s) => {
          const [x, y] = [
            put(s, a).slice(rows, [0, k * step, step]),
            put(s, b).slice(null, columns),
          ];
          await expectTensor(s.matmul(x, y), should, limit, `${m}×${k}×${n}`);
        });
      },
    ),
    { numRuns: 40, seed: 5 },
  );
});

test("one tensor as both operands, and as its own transpose", async () => {
  for (const size of [7, 8]) {
    const a = made("float32", [size, size], 95);
    await rt().scope(async (s) => {
      const x = put(s, a);
      await expectTensor(s.matmul(x, x), product(a, a), limit, "a × a");
      await expectTensor(s.matmul(x, x.transpose()), product(a, transposed(a)), limit, "a × aᵀ");
    });
  }
});

test("in float16, computed in float32", async () => {
  const [a, b] = [made("float16", [9, 40], 96), made("float16", [40, 11], 97)];
  await rt().scope(async (s) => {
    const half = { relative: 0, absolute: 2e-4 };
    await expectTensor(s.matmul(put(s, a), put(s, b)), product(a, b), half, "float16");
    await expectTensor(
      s.matmul(put(s, transposed(a)).transpose(), put(s, b)),
      product(a, b),
      half,
      "float16 view",
    );
  });
});

test.each([
  [
    [2_200_000, 1],
    [1, 1],
  ],
  [
    [1, 1],
    [1, 2_200_001],
  ],
  [
    [70_001, 1, 1],
    [1, 1],
  ],
])("%j times %j: more tiles than a dispatch has workgroups", async (left, right) => {
  await rt().scope(async (s) => {
    const [a, b] = [made("float32", left, 98), made("float32", right, 99)];
    const shape = [...left.slice(0, -1), right.at(-1)!];
    const [one, many] = a.values.length === 1 ? [a, b] : [b, a];
    const values = many.values.map((value) => value * one.values[0]!);
    const should = { dtype: "float32", shape, values } as const;
    await expectTensor(s.matmul(put(s, a), put(s, b)), should, tolerance.rounded, "product");
  });
  rt().trim();
});

test("shapes that do not fit, dtypes that do not agree, and integers are refused", async () => {
  await rt().scope((s) => {
    const zeros = (shape: number[]) => s.zeros(shape, { dtype: "float32" });
    expect(() => s.matmul(zeros([2, 3]), zeros([2, 3]))).toThrowError(/\[2, 3\]/);
    expect(() => s.matmul(zeros([3]), zeros([3, 2]))).toThrowError(/same k/);
    expect(() => s.matmul(zeros([2, 2, 3]), zeros([3, 3, 2]))).toThrowError(/broadcast/);
    const whole = s.zeros([2, 2], { dtype: "int32" });
    expect(() => s.matmul(whole, whole)).toThrowError(/cast\(\)/);
    expect(() =>
      s.matmul(zeros([2, 2]), s.zeros([2, 2], { dtype: "float16" }) as never),
    ).toThrowError(/cast\(\)/);
  });
});
