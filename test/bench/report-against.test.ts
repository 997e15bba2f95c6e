import { describe, expect, test } from "vitest";

import type { BenchRow } from "../../bench/core/results.ts";
import { compare, differencesOfRuns, formatComparison } from "../../bench/report/against.ts";
import type { Verdict } from "../../bench/report/against.ts";
import { benchResult, benchRow, failedRow, problem } from "../support/bench-results.ts";

function verdict(now: Partial<BenchRow>, earlier: Partial<BenchRow>): Verdict {
  const [comparison] = compare(benchResult([benchRow(now)]), benchResult([benchRow(earlier)]));
  return comparison!.verdict;
}

describe("a change", () => {
  test("is of the ratio to raw, though the median says the contrary", () => {
    const [comparison] = compare(
      benchResult([benchRow({ ratioToRaw: 1.2, median: 4 })]),
      benchResult([benchRow({ ratioToRaw: 1, median: 2 })]),
    );
    expect(comparison).toMatchObject({
      verdict: "better",
      basis: "ratio to raw",
      ratioChange: 1.2,
      medianChange: 0.5,
    });
  });

  test("is of the median where there is no ratio, and for raw", () => {
    expect(verdict({ ratioToRaw: null, median: 3 }, { ratioToRaw: null, median: 2 })).toBe("worse");
    expect(verdict({ contestant: "raw", median: 3 }, { contestant: "raw", median: 2 })).toBe(
      "worse",
    );
  });

  test("counts from 5 % on above a millisecond, from 10 % on below", () => {
    expect(verdict({ ratioToRaw: 0.94 }, {})).toBe("worse");
    expect(verdict({ ratioToRaw: 0.96 }, {})).toBe("same");
    expect(verdict({ ratioToRaw: 1.06 }, {})).toBe("better");
    expect(verdict({ ratioToRaw: 0.94, median: 0.5 }, {})).toBe("same");
    expect(verdict({ ratioToRaw: 0.9, median: 0.5 }, {})).toBe("worse");
  });

  test("has to be beyond both spreads together", () => {
    expect(verdict({ ratioToRaw: 0.9, spread: 0.06 }, { spread: 0.06 })).toBe("same");
    expect(verdict({ ratioToRaw: 0.88, spread: 0.06 }, { spread: 0.06 })).toBe("worse");
  });

  test("of bytes hardly needs any, and may be from or to nothing", () => {
    const bytes = { unit: "bytes", spread: 0, ratioToRaw: null } as const;
    expect(verdict({ ...bytes, median: 103 }, { ...bytes, median: 100 })).toBe("worse");
    expect(verdict({ ...bytes, median: 5 }, { ...bytes, median: 0 })).toBe("worse");
    expect(verdict({ ...bytes, median: 0 }, { ...bytes, median: 5 })).toBe("better");
    expect(verdict({ ...bytes, median: 0 }, { ...bytes, median: 0 })).toBe("same");
  });
});

const now = benchResult([
  ...problem({ moorage: 2, raw: 2 }, { size: "same" }),
  benchRow({ size: "slower", ratioToRaw: 0.8, median: 3 }),
  benchRow({ size: "much slower", contestant: "onnx", ratioToRaw: 0.2 }),
  benchRow({ size: "faster", ratioToRaw: 1.5 }),
  failedRow("device \u001B[31mlost", { size: "fails now" }),
  failedRow("lost", { size: "fails still" }),
  benchRow({ size: "works" }),
  benchRow({ size: "new" }),
]);
const earlier = benchResult([
  ...problem({ moorage: 2, raw: 2 }, { size: "same" }),
  benchRow({ size: "slower" }),
  benchRow({ size: "much slower", contestant: "onnx" }),
  benchRow({ size: "faster" }),
  benchRow({ size: "fails now" }),
  failedRow("lost", { size: "fails still" }),
  failedRow("lost", { size: "works" }),
  benchRow({ size: "gone" }),
]);

test("what fails now comes first, Moorage before the others, the same last", () => {
  const order = compare(now, earlier).map(({ verdict: told, row }) => `${told}: ${row.size}`);
  expect(order).toEqual([
    "fails now: fails now",
    "worse: slower",
    "worse: much slower",
    "better: faster",
    "works now: works",
    "gone: gone",
    "new: new",
    "still fails: fails still",
    "same: same",
    "same: same",
  ]);
});

test("the text", () => {
  const text = formatComparison(compare(now, earlier), differencesOfRuns(now, earlier));
  expect(text).toContain(
    "1 fails now, 2 worse, 1 better, 1 works now, 1 gone, 1 new, 1 still fails",
  );
  expect(text).not.toContain("The runs differ");
  expect(text).toContain('softmax fails now, moorage: "device [31mlost"');
  expect(text).toMatch(
    /softmax slower +moorage +1\.00 -> +0\.80 +-20 % +2\.00 ms -> +3\.00 ms +-33 % +5\.0 %/,
  );
  expect(Math.max(...text.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(100);
  expect(formatComparison([])).toContain("nothing to compare");
});

test("runs of different machines say so", () => {
  const other = benchResult([], { adapter: "another" });
  expect(differencesOfRuns(now, other)).toEqual(["adapter: now some adapter, earlier another"]);
  expect(formatComparison([], differencesOfRuns(now, other))).toContain("The runs differ");
});
