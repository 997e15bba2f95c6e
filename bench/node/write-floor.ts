/** Measures the floor anew, and writes it beside the other adapters' into `bench/floor.json`. */

import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";

import { allCases } from "../cases/index.ts";
import { raw } from "../contestants/raw/index.ts";
import { FloorGauge, floorKey, floorProblems } from "../core/floor.ts";
import type { Floor } from "../core/floor.ts";
import { median } from "../core/statistics.ts";
import type { NodeHost } from "./node-host.ts";
import { showProgress } from "./progress.ts";

const times = 5;

export async function readFloor(file: URL): Promise<Floor> {
  return JSON.parse(await readFile(file, "utf8")) as Floor;
}

/** What the floor of an adapter is found by: the first word of its description. */
export function adapterKey(description: string): string {
  return /^[\w-]+/.exec(description)?.[0] ?? description;
}

/** Virtual machines give generations of processors one name: Linux tells them apart by their numbers. */
export function processorName(): string {
  const name = cpus()[0]?.model.trim() ?? "unknown";
  if (process.platform !== "linux") return name;
  const facts = readFileSync("/proc/cpuinfo", "utf8");
  const numbers = ["cpu family", "model", "cache size"].flatMap((fact) => {
    const found = new RegExp(`^${fact}\\s*: (.+)$`, "m").exec(facts);
    return found === null ? [] : [`${fact} ${found[1]!}`];
  });
  return [name, ...numbers].join(", ");
}

/** The median of several fractions of each kernel. */
export async function writeFloor(host: NodeHost, file: URL, seed: number): Promise<void> {
  const problems = floorProblems(allCases);
  const measured = new Map<string, number[]>();
  const gauge = await FloorGauge.open(host, raw);
  try {
    for (let round = 0; round < times; round++) {
      for (const [index, problem] of problems.entries()) {
        if (host.isInterrupted()) return;
        const key = floorKey(problem);
        showProgress(round * problems.length + index, times * problems.length, key);
        const fractions = measured.get(key) ?? [];
        fractions.push(await gauge.fraction(problem, seed + round));
        measured.set(key, fractions);
      }
    }
  } finally {
    gauge.close();
  }
  const fractions = Object.fromEntries(
    [...measured].map(([key, values]) => [key, Math.round(median(values) * 1000) / 1000]),
  );
  const floor = {
    ...(await readFloor(file)),
    [adapterKey(host.description)]: { processor: processorName(), fractions },
  };
  await writeFile(file, `${JSON.stringify(floor, null, 2)}\n`);
}
