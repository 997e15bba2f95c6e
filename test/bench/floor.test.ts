/**
 * The floor is a floor: raw's kernels reach the fraction of the machine's limit that bench/floor.json
 * holds for this adapter and processor, or 15 % less at most. Each is measured in turn with the limit;
 * one that falls short is measured again, because a machine that is shared has slow seconds.
 */

import { expect, test } from "vitest";

import { allCases } from "../../bench/cases/index.ts";
import { raw } from "../../bench/contestants/raw/index.ts";
import { FloorGauge, floorKey, floorProblems } from "../../bench/core/floor.ts";
import { openNodeHost } from "../../bench/node/node-host.ts";
import { adapterKey, processorName, readFloor } from "../../bench/node/write-floor.ts";

const floor = await readFloor(new URL("../../bench/floor.json", import.meta.url));
const host = await openNodeHost();
const known = floor[adapterKey(host.description)];
const problems = floorProblems(allCases);
const attempts = 6;

test("every adapter in floor.json has every kernel of a quick run", () => {
  const keys = problems.map(floorKey).toSorted();
  for (const [adapter, { fractions }] of Object.entries(floor)) {
    expect(Object.keys(fractions).toSorted(), adapter).toEqual(keys);
  }
});

// Elsewhere, the ratio of arithmetic to memory is another, and so are the fractions.
const isMeasuredHere = known?.processor === processorName();

test.skipIf(!isMeasuredHere)(
  isMeasuredHere
    ? `raw reaches the floor on ${host.description}`
    : `the floor (not measured on ${host.description} with ${processorName()}; npm run bench -- --write-floor does it)`,
  { timeout: 180_000 },
  async () => {
    const gauge = await FloorGauge.open(host, raw);
    const short: string[] = [];
    try {
      for (const problem of problems) {
        const key = floorKey(problem);
        const due = known!.fractions[key]!;
        const reached: number[] = [];
        while (reached.length < attempts && !(Math.max(...reached) >= 0.85 * due)) {
          reached.push(await gauge.fraction(problem, 11 + reached.length));
        }
        if (Math.max(...reached) < 0.85 * due) {
          const times = reached.map((fraction) => fraction.toFixed(3)).join(", ");
          short.push(`${key}: ${times} of the limit, ${due} is due`);
        }
      }
    } finally {
      gauge.close();
    }
    expect(short).toEqual([]);
  },
);
