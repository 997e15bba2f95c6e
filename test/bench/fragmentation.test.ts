/** What compaction leaves between live blocks, over the bench's traces. */

import { KiB } from "moorage";
import { expect, test } from "vitest";

import { fragmentationOf } from "../../bench/traces/fragmentation.ts";
import { traceGenerators } from "../../bench/traces/generate.ts";
import { parseTrace } from "../../bench/traces/trace-text.ts";

test("counts what lies free in regions that hold something", () => {
  const header =
    '{"format":"moorage-trace","version":1,"generator":"by hand","seed":0,"architecture":"none","parameters":{},"labels":["x"]}';
  const found = fragmentationOf(parseTrace([header, "a 0 104 0", "s", "s"].join("\n")));
  const part = 1 - 104 / (256 * KiB);
  expect(found).toEqual({ average: part, worst: part, collections: 3, scale: 1 });
});

test("is under a tenth on average, and every trace was looked at", { timeout: 120_000 }, () => {
  const found = traceGenerators.map(({ name, generate }) => ({
    name,
    ...fragmentationOf(generate(1)),
  }));
  for (const { name, collections } of found) {
    expect(collections, name).toBeGreaterThanOrEqual(20);
  }
  const mean = found.reduce((sum, { average }) => sum + average, 0) / found.length;
  expect(mean, JSON.stringify(found)).toBeLessThan(0.1);
});
