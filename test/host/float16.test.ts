import * as fc from "fast-check";
import { expect, test } from "vitest";

import { float16ToNumber, numberToFloat16 } from "../../src/host/float16.ts";

/** The value of a half, straight from IEEE 754, without the code under test. */
function valueOf(half: number): number {
  const text = half.toString(2).padStart(16, "0");
  const exponent = parseInt(text.slice(1, 6), 2);
  const fraction = parseInt(text.slice(6), 2);
  const sign = text[0] === "1" ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * (fraction / 2 ** 24);
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** All finite magnitudes in ascending order; their index is their bits. */
const magnitudes = Array.from({ length: 0x7c00 }, (_, half) => valueOf(half));

/** The nearest half by search over all of them; distances are exact in BigInt. */
function nearest(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  // Halfway between the largest half and the one that would follow, ties go to infinity.
  if (size >= 65520) return sign | 0x7c00;
  let low = 0;
  let high = magnitudes.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (magnitudes[middle]! <= size) low = middle;
    else high = middle - 1;
  }
  if (magnitudes[low] === size || low === magnitudes.length - 1) return sign | low;
  const below = exact(size) - exact(magnitudes[low]!);
  const above = exact(magnitudes[low + 1]!) - exact(size);
  if (below === above) return sign | (low + (low & 1));
  return sign | (below < above ? low : low + 1);
}

/** A finite double times 2^1074: an integer. */
function exact(value: number): bigint {
  const bits = new BigUint64Array(new Float64Array([value]).buffer)[0]!;
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  return exponent === 0 ? fraction : (fraction | 0x10000000000000n) << BigInt(exponent - 1);
}

test("all 65536 halves have the value that IEEE 754 gives them", () => {
  const wrong: number[] = [];
  for (let half = 0; half < 65536; half++)
    if (!Object.is(float16ToNumber(half), valueOf(half))) wrong.push(half);
  expect(wrong).toEqual([]);
});

test("all 65536 halves survive the way there and back", () => {
  const wrong: number[] = [];
  for (let half = 0; half < 65536; half++) {
    const back = numberToFloat16(float16ToNumber(half));
    const isNaNHalf = (half & 0x7fff) > 0x7c00;
    if (isNaNHalf ? (back & 0x7fff) <= 0x7c00 : back !== half) wrong.push(half);
  }
  expect(wrong).toEqual([]);
});

test("between any two neighbours, ties go to even and everything else to the nearer", () => {
  const wrong: number[] = [];
  const check = (value: number): void => {
    if (numberToFloat16(value) !== nearest(value)) wrong.push(value);
    if (numberToFloat16(-value) !== nearest(-value)) wrong.push(-value);
  };
  for (let half = 0; half + 1 < magnitudes.length; half++) {
    const [low, high] = [magnitudes[half]!, magnitudes[half + 1]!];
    const middle = (low + high) / 2;
    // The nearest doubles around the tie: rounding to float32 on the way would lose them.
    const step = middle * 2 ** -52;
    for (const value of [middle, middle - step, middle + step, middle * 1.0001, middle * 0.9999])
      check(value);
  }
  expect(wrong).toEqual([]);
});

test("any double is rounded as by a search over all halves", () => {
  const values = fc.oneof(
    fc.double(),
    fc.double({ min: -70000, max: 70000, noNaN: true }),
    fc.double({ min: -1e-4, max: 1e-4, noNaN: true }),
    fc.float(),
  );
  fc.assert(
    fc.property(values, (value) => {
      expect(numberToFloat16(value)).toBe(nearest(value));
    }),
    { numRuns: 5000 },
  );
});

test.each([
  [65504, 0x7bff],
  [65519.99999999999, 0x7bff],
  [65520, 0x7c00],
  [1e39, 0x7c00],
  [-1e300, 0xfc00],
  [Infinity, 0x7c00],
  [2 ** -24, 1],
  [2 ** -25, 0],
  [2 ** -25 + 2 ** -70, 1],
  [5e-324, 0],
  [-0, 0x8000],
  [-5e-324, 0x8000],
  [1 + 2 ** -11, 0x3c00],
  [1 + 2 ** -11 + 2 ** -40, 0x3c01],
  [1 + 3 * 2 ** -11, 0x3c02],
  [NaN, 0x7e00],
])("%d is 0x%s", (value, half) => {
  expect(numberToFloat16(value)).toBe(half);
});
