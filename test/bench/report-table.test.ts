import { describe, expect, test } from "vitest";

import { formatReport, formatRows } from "../../bench/report/table.ts";
import { wrap } from "../../bench/report/terminal.ts";
import {
  formatBytes,
  formatBytesPerSecond,
  formatFlopsPerSecond,
  formatPercent,
  formatRatio,
  formatTime,
} from "../../bench/report/units.ts";
import { benchResult, mixedResult, problem } from "../support/bench-results.ts";

const { contestants } = benchResult([]);
const matmul = {
  case: "matmul",
  size: "512",
  work: { bytes: 3_145_728, flops: 2 * 512 ** 3 },
} as const;

describe("the report", () => {
  const report = formatReport(mixedResult());

  test("opens with where Moorage loses, then the limits", () => {
    expect(report).toMatch(/^Where we lose: 5 of 15 problems\n {2}1 {2}scan 1 Mi is not there yet/);
    expect(report.indexOf("Limits and machine")).toBeLessThan(report.indexOf("kernels\n======="));
    expect(report).toContain("device copy   9.40 GB/s read and written");
  });

  test("is at most 100 columns wide, and as narrow as it is asked for", () => {
    const widest = (text: string): number =>
      Math.max(...text.split("\n").map(({ length }) => length));
    expect(widest(report)).toBeLessThanOrEqual(100);
    expect(widest(formatReport(mixedResult(), { width: 130 }))).toBeLessThanOrEqual(130);
    expect(widest(report)).toBeGreaterThan(90);
  });

  test("carries nothing that a terminal would obey, and colours only where asked", () => {
    expect(report).not.toMatch(/[^\P{Cc}\n]/u);
    expect(report).toContain('"<script>alert(1)</script> & "more" [31mred"');
    expect(formatReport(mixedResult(), { color: true })).toContain("\u001B[1m");
  });

  test("says so where there is nothing to report", () => {
    expect(formatReport(benchResult([]))).toContain("Moorage took no part in this run.");
    const fine = benchResult(problem({ moorage: 1, raw: 1, onnx: 2 }));
    expect(formatReport(fine)).toContain("Where we lose: 0 of 1 problem\n  Not behind any peer");
  });
});

test("a problem's rows, aligned, in the contestants' order, failures quoted", () => {
  const rows = problem({ onnx: "no such operation", raw: 20, moorage: 16 }, matmul);
  expect(formatRows(rows, contestants)).toBe(
    [
      "matmul 512",
      "             median  spread  x raw  x peer  limit          rate      peak      held  bufs  groups",
      "moorage     16.0 ms   1.0 %   1.25       -   45 %  16.8 GFLOP/s     8 MiB       0 B     0       0",
      "raw         20.0 ms   1.0 %   1.00       -   45 %  13.4 GFLOP/s     8 MiB       0 B     0       0",
      'onnx       "no such operation"',
    ].join("\n"),
  );
});

test("least and greatest where there is room, long failures in several lines", () => {
  const long = "word ".repeat(60).trim();
  const rows = problem({ moorage: 16, onnx: long }, matmul);
  const [, head, own, ...failure] = formatRows(rows, contestants, { width: 130 }).split("\n");
  expect(head).toMatch(/median +min +max +spread/);
  expect(own).toMatch(/16\.0 ms +15\.2 ms +17\.6 ms/);
  expect(failure).toHaveLength(3);
  expect(failure[1]).toMatch(/^ {11}word/);
});

test("one sample and bytes", () => {
  const rows = problem(
    { moorage: 3 * 2 ** 20, raw: 0 },
    { suite: "memory", unit: "bytes", samples: 1, spread: 0, fractionOfLimit: null, work: {} },
  );
  const text = formatRows(rows, contestants);
  expect(text).toMatch(/moorage +3 MiB +0\.0 % +0 +- +- +8 MiB/);
  expect(text).toMatch(/raw +0 B +0\.0 % +- +- +-/);
  expect(formatRows([], contestants)).toBe("");
});

test("units", () => {
  expect([0, 2.5e-7, 4e-5, 0.0123, 1, 59.96, 999.6, 61_000].map((ms) => formatTime(ms))).toEqual([
    "0 us",
    "0.25 ns",
    "40.0 ns",
    "12.3 us",
    "1.00 ms",
    "60.0 ms",
    "1.00 s",
    "61.0 s",
  ]);
  expect([0, 1023, 1024, 1.5 * 2 ** 20, 2 ** 34].map(formatBytes)).toEqual([
    "0 B",
    "1023 B",
    "1 KiB",
    "1.50 MiB",
    "16 GiB",
  ]);
  expect(formatBytesPerSecond(9.42e9)).toBe("9.42 GB/s");
  expect(formatBytesPerSecond(5.84e6)).toBe("5.84 MB/s");
  expect(formatFlopsPerSecond(57e9)).toBe("57.0 GFLOP/s");
  expect([0.99999, 0.998, 0.9, 1, 12.34, 0].map(formatRatio)).toEqual([
    "0.999",
    "0.998",
    "0.90",
    "1.00",
    "12.3",
    "0",
  ]);
  expect([0, 0.0001, 0.021, 0.534, 1].map(formatPercent)).toEqual([
    "0.0 %",
    "<0.1 %",
    "2.1 %",
    "53 %",
    "100 %",
  ]);
});

test("wrapping cuts what does not fit", () => {
  expect(wrap("a bb\nccc", 4)).toEqual(["a bb", "ccc"]);
  expect(wrap("abcdefgh ij", 3)).toEqual(["abc", "def", "gh", "ij"]);
  expect(wrap("", 10)).toEqual([""]);
});
