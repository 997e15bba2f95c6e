import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  Alignment,
  alignDown,
  alignUp,
  isAligned,
  isValidAlignment,
  isViewAligned,
  requireAlignment,
} from "../../src/host/alignment.ts";
import { caught, codeOf } from "../support/caught.ts";

const max = Number.MAX_SAFE_INTEGER;
const powers = Array.from({ length: 53 }, (_, exponent) => 2 ** exponent);
// Small numbers, numbers around powers of two and numbers at the very end are all tried.
const bytes = fc.oneof(
  fc.nat(5000),
  fc.maxSafeNat(),
  fc
    .tuple(fc.constantFrom(...powers), fc.integer({ min: -3, max: 3 }))
    .map(([power, delta]) => Math.min(max, Math.max(0, power + delta))),
  fc.nat(5000).map((delta) => max - delta),
);
const alignment = fc.constantFrom(...powers);

test("rounding up is exact up to 2^53 - 1, and overflows with an error", () => {
  fc.assert(
    fc.property(bytes, alignment, (size, step) => {
      const exact = ((BigInt(size) + BigInt(step) - 1n) / BigInt(step)) * BigInt(step);
      if (exact <= BigInt(max)) expect(BigInt(alignUp(size, step))).toBe(exact);
      else expect(codeOf(() => alignUp(size, step))).toBe("SIZE_OVERFLOW");
    }),
    { numRuns: 3000 },
  );
});

test("rounding down and the test for multiples are exact", () => {
  fc.assert(
    fc.property(bytes, alignment, (size, step) => {
      const exact = (BigInt(size) / BigInt(step)) * BigInt(step);
      expect(BigInt(alignDown(size, step))).toBe(exact);
      expect(isAligned(size, step)).toBe(exact === BigInt(size));
    }),
    { numRuns: 3000 },
  );
});

test.each([
  [2 ** 31 - 1, 8, 2 ** 31],
  [2 ** 32 + 1, 256, 2 ** 32 + 256],
  [2 ** 40 + 1, 2 ** 33, 2 ** 40 + 2 ** 33],
  [2 ** 52 + 1, 2, 2 ** 52 + 2],
  [0, 2 ** 52, 0],
])("alignUp(%d, %d) is %d, past where bit operations stop", (size, step, expected) => {
  expect(alignUp(size, step)).toBe(expected);
});

test("exactly the powers of two are alignments", () => {
  const isPower = (value: bigint): boolean => value > 0n && (value & (value - 1n)) === 0n;
  fc.assert(
    fc.property(bytes, (value) => {
      expect(isValidAlignment(value)).toBe(isPower(BigInt(value)));
    }),
    { numRuns: 3000 },
  );
  for (const power of powers) {
    expect(isValidAlignment(power)).toBe(true);
    if (power > 2) expect(isValidAlignment(power - 1)).toBe(false);
    if (power > 1) expect(isValidAlignment(power + 1)).toBe(false);
  }
});

test.each([0, -1, -8, 0.5, 3, 1.5, NaN, Infinity, -Infinity, 2 ** 53, 2 ** 60])(
  "%d is no alignment, and the error says what is",
  (value) => {
    expect(isValidAlignment(value)).toBe(false);
    const error = caught(() => requireAlignment(value, "weights"));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ALIGNMENT", label: "weights" });
    expect(error.message).toContain(String(value));
    expect(error.message).toContain("powers of two");
  },
);

test("named alignments are alignments, and those of WebGPU hold", () => {
  for (const value of Object.values(Alignment)) expect(isValidAlignment(value)).toBe(true);
  expect(Alignment).toMatchObject({ copy: 4, map: 8, vec4: 16, page: 4096 });
});

test("a view's alignment is that of its offset in the buffer", () => {
  const buffer = new ArrayBuffer(64);
  expect(isViewAligned(new Float32Array(buffer, 16, 2), 16)).toBe(true);
  expect(isViewAligned(new Float32Array(buffer, 20, 2), 16)).toBe(false);
  expect(isViewAligned(new Float32Array(buffer, 20, 2), 4)).toBe(true);
  expect(isViewAligned(new DataView(buffer, 3), 2)).toBe(false);
});
