/** Element-wise operations, copies and casts against float64, on tensors that lie anyhow. */

import type { BinaryName, DType, UnaryName } from "moorage";
import { dtypes } from "moorage";
import { expect, test } from "vitest";

import { expectClose, expectTensor, put, tolerance, useStrictRuntime } from "../support/device.ts";
import type { Tolerance } from "../support/device.ts";
import { build, made, mapped, store, zipped } from "../support/reference.ts";

const rt = useStrictRuntime();
const floats: readonly DType[] = ["float32", "float16"];
const roundHalfEven = (x: number): number => {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
};

interface UnaryCase {
  readonly f: (x: number) => number;
  readonly dtypes: readonly DType[];
  readonly range?: readonly [number, number];
  readonly tolerance: Tolerance;
}
const { exact, rounded, transcendental, trigonometric } = tolerance;

const unary: { readonly [N in UnaryName]: UnaryCase } = {
  negate: { f: (x) => -x, dtypes: [...floats, "int32"], tolerance: exact },
  abs: { f: Math.abs, dtypes, tolerance: exact },
  sign: { f: Math.sign, dtypes: [...floats, "int32"], tolerance: exact },
  floor: { f: Math.floor, dtypes: floats, tolerance: exact },
  ceil: { f: Math.ceil, dtypes: floats, tolerance: exact },
  round: { f: roundHalfEven, dtypes: floats, tolerance: exact },
  exp: { f: Math.exp, dtypes: floats, tolerance: transcendental },
  log: { f: Math.log, dtypes: floats, range: [0.01, 50], tolerance: transcendental },
  sqrt: { f: Math.sqrt, dtypes: floats, range: [0, 50], tolerance: rounded },
  sin: { f: Math.sin, dtypes: floats, range: [-3.14, 3.14], tolerance: trigonometric },
  cos: { f: Math.cos, dtypes: floats, range: [-3.14, 3.14], tolerance: trigonometric },
  tanh: { f: Math.tanh, dtypes: floats, range: [-40, 40], tolerance: transcendental },
  sigmoid: {
    f: (x) => 1 / (1 + Math.exp(-x)),
    dtypes: floats,
    range: [-90, 90],
    tolerance: transcendental,
  },
  relu: { f: (x) => Math.max(x, 0), dtypes, tolerance: exact },
  square: { f: (x) => x * x, dtypes, tolerance: rounded },
  reciprocal: { f: (x) => 1 / x, dtypes: floats, range: [0.25, 4], tolerance: rounded },
};

/** What a binary operation is in `dtype`: integers wrap, and divide towards zero. */
function binaryOf(name: BinaryName, dtype: DType): (a: number, b: number) => number {
  const isFloat = floats.includes(dtype);
  const f = {
    add: (a: number, b: number) => a + b,
    subtract: (a: number, b: number) => a - b,
    multiply: (a: number, b: number) => (isFloat ? a * b : Math.imul(a, b)),
    // WGSL gives the dividend where the divisor is zero.
    divide: (a: number, b: number) => (isFloat ? a / b : b === 0 ? a : Math.trunc(a / b)),
    minimum: Math.min,
    maximum: Math.max,
    power: Math.pow,
  }[name];
  return isFloat ? f : (a, b) => store(dtype, f(a, b));
}

const binaryTolerance: { readonly [N in BinaryName]: Tolerance } = {
  add: rounded,
  subtract: { relative: 4e-7, absolute: 1e-6 },
  multiply: rounded,
  divide: rounded,
  minimum: exact,
  maximum: exact,
  power: { relative: 4e-5, absolute: 1e-6 },
};

test.each(Object.keys(unary) as UnaryName[])(
  "unary %s on each dtype, odd lengths",
  async (name) => {
    const { f, dtypes: accepted, range, tolerance: limit } = unary[name];
    for (const dtype of dtypes) {
      const x = made(dtype, [3, 47], 11, range);
      await rt().scope(async (s) => {
        const given = put(s, x);
        if (!accepted.includes(dtype)) {
          expect(() => s.unary(name, given)).toThrowError(
            expect.objectContaining({ code: "UNSUPPORTED_DTYPE" }),
          );
          return;
        }
        const isInteger = !floats.includes(dtype);
        const should = mapped(x, (value) => (isInteger ? store(dtype, f(value)) : f(value)));
        await expectTensor(s.unary(name, given), should, limit, `${name} ${dtype}`);
      });
    }
  },
);

test.each(Object.keys(binaryTolerance) as BinaryName[])(
  "binary %s on each dtype, with tensors and numbers",
  async (name) => {
    for (const dtype of dtypes) {
      const range = name === "power" ? ([0.1, 4] as const) : undefined;
      const a = made(dtype, [5, 23], 21, range);
      const b = made(dtype, [5, 23], 22, range);
      const f = binaryOf(name, dtype);
      const number = { float32: 1.75, float16: 1.75, int32: -7, uint32: 9, uint8: 77 }[dtype];
      await rt().scope(async (s) => {
        const [x, y] = [put(s, a), put(s, b)];
        if (name === "power" && !floats.includes(dtype)) {
          expect(() => s.binary(name, x, y)).toThrowError(
            expect.objectContaining({ code: "UNSUPPORTED_DTYPE" }),
          );
          return;
        }
        const limit = binaryTolerance[name];
        await expectTensor(s.binary(name, x, y), zipped(a, b, f), limit, `${name} ${dtype}`);
        await expectTensor(
          s.binary(name, x, number),
          mapped(a, (v) => f(v, number)),
          limit,
          `${name} ${dtype} number`,
        );
        await expectTensor(
          s.binary(name, x, x),
          zipped(a, a, f),
          limit,
          `${name} ${dtype} with itself`,
        );
      });
    }
  },
);

test("uint8 arithmetic wraps, and integer division by zero gives the dividend", async () => {
  await rt().scope(async (s) => {
    const a = s.tensor(Uint8Array.of(250, 3, 200, 7, 255), { shape: [5], dtype: "uint8" });
    const b = s.tensor(Uint8Array.of(10, 5, 200, 0, 255), { shape: [5], dtype: "uint8" });
    expect(await s.add(a, b).toArray()).toEqual([4, 8, 144, 7, 254]);
    expect(await s.subtract(b, a).toArray()).toEqual([16, 2, 0, 249, 0]);
    expect(await s.multiply(a, b).toArray()).toEqual([196, 15, 64, 0, 1]);
    expect(await s.divide(a, b).toArray()).toEqual([25, 0, 1, 7, 1]);
  });
});

test("full, zeros and fill in every dtype; an odd length leaves no trace beyond itself", async () => {
  const value = { float32: -2.5, float16: 0.1, int32: -3, uint32: 4_000_000_000, uint8: 201 };
  for (const dtype of dtypes) {
    const should = build(dtype, [7, 3], () => store(dtype, value[dtype]));
    await rt().scope(async (s) => {
      const [before, made1, after] = [
        s.full([5], 1, { dtype: "uint8" }),
        s.full([7, 3], value[dtype], { dtype }),
        s.full([5], 2, { dtype: "uint8" }),
      ];
      await expectTensor(made1, should, exact, `full ${dtype}`);
      const target = s.zeros([7, 3], { dtype });
      await expectTensor(
        target,
        mapped(should, () => 0),
        exact,
        `zeros ${dtype}`,
      );
      s.fill(target, value[dtype]);
      await expectTensor(target, should, exact, `fill ${dtype}`);
      expect([await before.toArray(), await after.toArray()]).toEqual([
        [1, 1, 1, 1, 1],
        [2, 2, 2, 2, 2],
      ]);
    });
  }
});

test("a uint8 tensor so long that its workgroups fold into y", async () => {
  const count = 20_000_003;
  await rt().scope(async (s) => {
    const data = Uint8Array.from({ length: count }, (_, index) => (index * 31) ^ (index >> 13));
    const sum = s.add(s.tensor(data, { shape: [count], dtype: "uint8" }), 5);
    const read = await sum.data();
    expect(read.findIndex((value, index) => value !== ((data[index]! + 5) & 0xff))).toBe(-1);
    expectClose(
      read.slice(-3),
      data.slice(-3).map((value) => value + 5),
      exact,
      "the end",
    );
  });
  rt().trim();
});
