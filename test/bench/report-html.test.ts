import { describe, expect, test } from "vitest";

import { renderHtml } from "../../bench/report/html.ts";
import { spreadOut } from "../../bench/report/plots.ts";
import { amountOf, limitOf, rateKindOf, rateOf } from "../../bench/report/rates.ts";
import { linearScale, logScale, plainForm } from "../../bench/report/scales.ts";
import { thinned } from "../../bench/report/thinning.ts";
import { formatBytes } from "../../bench/report/units.ts";
import { benchResult, benchRow, mixedResult, problem } from "../support/bench-results.ts";

describe("the page", () => {
  const html = renderHtml(mixedResult());

  test("needs nothing else: no network, no script, no font", () => {
    expect(html.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:/i);
    expect(html).not.toMatch(/<script/i);
    expect(html).not.toMatch(
      /<(?:link|img|iframe|object|embed|base|form)\b|\bsrc\s*=\s*["']|url\(|@import/i,
    );
    expect(html).not.toMatch(/\son\w+\s*=\s*["']/i);
  });

  test("shows labels and failures as the text they are", () => {
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt; adapter");
    expect(html).toContain("&quot;&gt;&lt;img src=x onerror=alert(1)&gt;");
    expect(html).toContain("&amp; &quot;more&quot; [31mred");
    expect(html).not.toMatch(/[^\P{Cc}\n]/u);
  });

  test("opens with where we lose, then the machine, then the suites in the run's order", () => {
    const headings = [...html.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, text]) => text);
    expect(headings).toEqual([
      "Where we lose",
      "The machine and its limits",
      "kernels",
      "dispatch",
      "transfer",
      "memory",
      "end-to-end",
    ]);
  });

  test("is well formed, and no number got lost on the way", () => {
    expect(unbalanced(html)).toEqual([]);
    expect(html).not.toMatch(/NaN|Infinity|undefined|\[object/);
  });

  test("plots a case against its own limit, in the unit of its work", () => {
    expect(html).toContain('aria-label="softmax: achieved bandwidth in GB/s');
    expect(html).toContain('aria-label="matmul: arithmetic rate in GFLOP/s');
    expect(html).toContain('aria-label="small: time of one operation in \u00b5s per operation');
    expect(html).toContain('aria-label="upload: transfer rate in GB/s');
    expect(html).toContain("Limit: copying on the host at 9.00 GB/s.");
    expect(html).toContain("peak 16 Mi: live device bytes over time");
    expect(html).toContain("No point: tensorflow at 2048.");
    expect(html).toContain("No point: onnx at any size.");
  });
});

test.each([
  ["nothing at all", benchResult([])],
  ["one row without ratios", benchResult([benchRow({ ratioToRaw: null, ratioToBestPeer: null })])],
  ["only failures", benchResult(problem({ moorage: "a", raw: "b", onnx: "c" }))],
  [
    "sizes of equal work",
    benchResult(
      ["64x1024", "1024x64"].flatMap((size) => problem({ moorage: 1, raw: 1 }, { size })),
    ),
  ],
  [
    "a contestant, a suite and work that nobody knows, and no limits",
    benchResult(
      ["a", "b"].map((size) =>
        benchRow({ size, suite: "<b>" as "host", contestant: "<i>" as "onnx", work: {} }),
      ),
      {
        limits: { hostCopyBytesPerSecond: 0, deviceCopyBytesPerSecond: 0, fmaFlopsPerSecond: 0 },
        memoryOverTime: [{ case: "softmax", size: "a", contestant: "onnx", points: [] }],
      },
    ),
  ],
  [
    "times of zero",
    benchResult(
      [1, 2].flatMap((size) =>
        problem({ moorage: 0, raw: 0 }, { size: `${size}`, work: { bytes: size } }),
      ),
    ),
  ],
])("a page of %s", (_, result) => {
  const html = renderHtml(result);
  expect(unbalanced(html)).toEqual([]);
  expect(html).not.toMatch(/NaN|Infinity|undefined|<b>&lt;|<i>&lt;\/|<b><\/h2>/);
});

test("a failure leaves a gap in the line", () => {
  const rows = [1, 2, 4, 8].flatMap((size) =>
    problem(
      { moorage: size === 4 ? "fails" : size },
      { size: `${size}`, work: { bytes: 2 ** size } },
    ),
  );
  const line = /<path class="l s0" d="(M\S+ \S+L[^"]+)"/.exec(renderHtml(benchResult(rows)));
  expect(line![1]!.match(/M/g)).toHaveLength(2);
  expect(line![1]!.match(/L/g)).toHaveLength(1);
});

test("labels are moved apart, within the plot, in their order", () => {
  expect(spreadOut([50, 100], [0, 200])).toEqual([50, 100]);
  expect(spreadOut([100, 100, 101], [0, 200])).toEqual([100, 113, 126]);
  expect(spreadOut([199, 199, 199], [0, 200])).toEqual([174, 187, 200]);
  const tight = spreadOut([5, 5, 5, 5, 5], [0, 20]);
  expect(tight).toEqual([0, 5, 10, 15, 20]);
});

test("axes have a few round ticks", () => {
  const labels = (scale: { readonly ticks: readonly { readonly label: string }[] }): string[] =>
    scale.ticks.map(({ label }) => label);
  expect(labels(linearScale(9.4, [0, 100], plainForm))).toEqual(["0", "2", "4", "6", "8", "10"]);
  expect(labels(linearScale(0, [0, 100], plainForm)).length).toBeGreaterThan(1);
  expect(labels(logScale([0.05, 500], [0, 100], plainForm))).toEqual(["0.1", "1", "10", "100"]);
  const bytes = { base: 2, label: formatBytes } as const;
  expect(labels(logScale([4096, 2 ** 26], [0, 100], bytes, 4))).toEqual([
    "4 KiB",
    "64 KiB",
    "1 MiB",
    "16 MiB",
  ]);
  expect(labels(logScale([6, 9], [0, 100], plainForm)).length).toBeGreaterThan(1);
});

test("a long recording keeps its peak and its end", () => {
  const points = Array.from({ length: 10_000 }, (_, index) => ({
    milliseconds: index,
    liveBytes: index === 5003 ? 1e9 : index,
  }));
  const kept = thinned(points, 100);
  expect(kept.length).toBeLessThanOrEqual(202);
  expect(kept).toContainEqual(points[5003]);
  expect(kept.at(-1)).toEqual(points.at(-1));
  expect(thinned(points.slice(0, 10), 100)).toHaveLength(10);
});

test("what a case is measured in", () => {
  const kind = (change: Parameters<typeof benchRow>[0]): string => rateKindOf([benchRow(change)]);
  expect(kind({ work: { bytes: 100, flops: 50 } })).toBe("bytes");
  expect(kind({ work: { bytes: 100, flops: 500 } })).toBe("flops");
  expect(kind({ work: { bytes: 100, operations: 10 } })).toBe("bytes");
  expect(kind({ suite: "end-to-end", work: { bytes: 100, operations: 10 } })).toBe("operation");
  expect(kind({ suite: "transfer", work: { transferBytes: 4, operations: 16 } })).toBe("transfer");
  expect(kind({ suite: "host", work: { hostBytes: 4 } })).toBe("host");
  expect(kind({ unit: "bytes", work: { bytes: 4 } })).toBe("memory");
  expect(kind({ work: {} })).toBe("time");
  const row = benchRow({ median: 2, work: { transferBytes: 18e6 } });
  expect(rateOf(row, "transfer")).toBe(9e9);
  expect(amountOf(row, "transfer")).toBe(18e6);
  expect(limitOf("transfer", benchResult([]).limits)).toBe(9e9);
});

/** Tags that are not closed in the order in which they were opened. */
function unbalanced(html: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  const content = html.replace(/<style>[^]*?<\/style>/, "").replace("<!doctype html>", "");
  for (const [tag, slash, name = "", end] of content.matchAll(/<(\/?)([a-z0-9]+)[^<>]*?(\/?)>/g)) {
    if (end === "/" || name === "meta") continue;
    if (slash !== "/") open.push(name);
    else if (open.pop() !== name) wrong.push(tag);
  }
  return [...wrong, ...open];
}
