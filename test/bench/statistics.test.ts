import { expect, test } from "vitest";

import { answersOf, check } from "../../bench/core/check.ts";
import { randomFrom, seedOf } from "../../bench/core/random.ts";
import {
  meanError,
  median,
  medianError,
  pairedRatios,
  quantile,
  spread,
} from "../../bench/core/statistics.ts";

test("medians and quartiles of odd and even numbers of samples", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(quantile([1, 2, 3, 4, 5], 0.25)).toBe(2);
  expect(spread([1, 2, 3, 4, 5])).toBeCloseTo(1 / 3);
  expect(() => median([])).toThrow("no samples");
});

test("ratios are taken round by round, so that drift cancels", () => {
  const drift = [1, 2, 4, 8];
  const ratios = pairedRatios(
    drift.map((factor) => 6 * factor),
    drift.map((factor) => 3 * factor),
  );
  expect(ratios).toEqual([2, 2, 2, 2]);
  expect(pairedRatios([1, undefined, 3], [2, 2, undefined])).toEqual([0.5]);
});

test("the error of a median shrinks with the root of the samples, and outliers do not matter", () => {
  const random = randomFrom(3);
  const of = (count: number): number[] =>
    Array.from({ length: count }, () => 10 + random.next() + random.next() - 1);
  const [few, many] = [medianError(of(25)), medianError(of(2500))];
  expect(few / many).toBeGreaterThan(5);
  expect(few / many).toBeLessThan(20);
  expect(many).toBeLessThan(0.005);
  const spoilt = of(2500).map((value, at) => (at % 50 === 0 ? 1000 : value));
  expect(medianError(spoilt)).toBeLessThan(0.005);
  expect(medianError([1, 2, 3])).toBe(Number.POSITIVE_INFINITY);
});

test("the error of a mean is the standard error, as a fraction", () => {
  expect(meanError([1, 1, 1])).toBe(0);
  expect(meanError([9, 11])).toBeCloseTo(0.1);
  for (const few of [[], [5], [1, Number.NaN]])
    expect(meanError(few)).toBe(Number.POSITIVE_INFINITY);
});

test("random numbers are even, bounded, and the same for a seed", () => {
  const random = randomFrom(5);
  const values = random.floats(100_000, -2, 3);
  expect(Math.min(...values.subarray(0, 5000))).toBeGreaterThanOrEqual(-2);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02);
  const counts = Array.from({ length: 8 }, () => 0);
  for (let index = 0; index < 8000; index++) counts[random.integer(8)]!++;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(200);
  expect([...randomFrom(9).floats(4)]).toEqual([...randomFrom(9).floats(4)]);
  expect(seedOf(1, "a")).not.toBe(seedOf(1, "b"));
  expect(seedOf(1, "a")).not.toBe(seedOf(2, "a"));
});

test("large outputs are checked in as many places, their ends among them", () => {
  const count = 2 ** 22;
  const [answer] = answersOf(
    [{ shape: [count], dtype: "float32", at: (index) => index % 7 }],
    randomFrom(1),
    1,
  );
  expect(answer!.positions.length).toBe(2 ** 20);
  const right = Float32Array.from({ length: count }, (_, index) => index % 7);
  const tolerance = { absolute: 0, relative: 0, why: "" };
  expect(check([right], [answer!], tolerance).failure).toBeNull();
  for (const at of [0, count - 1]) {
    const wrong = right.slice();
    wrong[at]! += 1;
    expect(check([wrong], [answer!], tolerance).failure).toMatch(`at ${at} is`);
  }
  // A tenth of the elements wrong cannot be missed by a quarter that is looked at.
  const block = right.slice();
  block.fill(9, count / 2, count / 2 + count / 10);
  expect(check([block], [answer!], tolerance).failure).not.toBeNull();
});
