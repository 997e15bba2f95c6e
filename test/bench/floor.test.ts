/**
 * The floor is a floor: raw's kernels reach the fraction of the machine's limit that bench/floor.json
 * holds for this adapter and processor, or 15 % less at most (see `dueOf`). Each is measured in turn with the limit;
 * one that falls short is measured again later, because a machine that is shared has slow seconds, in
 * which a copy and a sum do not lose the same share.
 */

import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";

import { allCases } from "../../bench/cases/index.ts";
import { raw } from "../../bench/contestants/raw/index.ts";
import { FloorGauge, floorKey, floorProblems } from "../../bench/core/floor.ts";
import type { FloorProblem } from "../../bench/core/floor.ts";
import { openNodeHost } from "../../bench/node/node-host.ts";
import { adapterKey, processorName, readFloor } from "../../bench/node/write-floor.ts";

const floor = await readFloor(new URL("../../bench/floor.json", import.meta.url));
const host = await openNodeHost();
const known = floor[adapterKey(host.description)];
const problems = floorProblems(allCases);

/** Seconds of rest before each further pass over what fell short. */
const rests = [0, 1, 2, 4, 8, 8];

/**
 * What is due. A fraction beyond the limit of a copy comes from caches, which other machines on the same
 * processor take away for minutes: half of that excess is not asked for.
 */
function dueOf(fraction: number): number {
  return 0.85 * (fraction <= 1 ? fraction : 1 + (fraction - 1) / 2);
}

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
    const reached = new Map<FloorProblem, number[]>(problems.map((problem) => [problem, []]));
    const isShort = (problem: FloorProblem): boolean =>
      !(Math.max(...reached.get(problem)!) >= dueOf(known!.fractions[floorKey(problem)]!));
    try {
      for (const [pass, rest] of rests.entries()) {
        const short = problems.filter(isShort);
        if (short.length > 0) await delay(rest * 1000);
        for (const problem of short) {
          reached.get(problem)!.push(await gauge.fraction(problem, 11 + pass));
        }
      }
    } finally {
      gauge.close();
    }
    const short = problems.filter(isShort).map((problem) => {
      const times = reached.get(problem)!.map((fraction) => fraction.toFixed(3));
      const due = dueOf(known!.fractions[floorKey(problem)]!).toFixed(3);
      return `${floorKey(problem)}: ${times.join(", ")} of the limit, ${due} is due`;
    });
    expect(short).toEqual([]);
  },
);
