/**
 * Long programs over every region, those of the device on a simulated one: 50,000 operations here, a
 * million in `npm run test:long`. MOORAGE_SEED=n repeats the programs of an earlier run.
 */

import { expect, test } from "vitest";

import { deviceArenaLong, deviceHeapLong } from "./long-device.ts";
import { generalLong } from "./long-general.ts";
import { LongProgram } from "./long-programs.ts";
import type { LongSubject } from "./long-programs.ts";
import { arenaLong, pinnedLong } from "./long-subjects.ts";

const isLong = process.env["MOORAGE_LONG"] === "1";
const operations = isLong ? 1_000_000 : Number(process.env["MOORAGE_OPERATIONS"] ?? 50_000);
const seed = Number(process.env["MOORAGE_SEED"] ?? 1 + Math.floor(Math.random() * 1e9));

/** Of each branch that has to be taken; a seldom one would be found untested one day. */
const fewest = operations < 50_000 ? 1 : 100;

async function run<H>(subject: LongSubject<H>, branches: readonly string[]): Promise<void> {
  await new LongProgram(subject, seed).run(operations);
  const taken = subject.branches();
  for (const branch of branches) {
    expect(taken[branch] ?? 0, `${branch}, of ${JSON.stringify(taken)}`).toBeGreaterThanOrEqual(
      fewest,
    );
  }
  expect(Object.keys(subject.operations).length).toBeGreaterThanOrEqual(8);
}

const timeout = isLong ? 1_800_000 : 60_000;

test(`GeneralHeap, ${operations} operations of seed ${seed}`, { timeout }, async () => {
  await run(generalLong(), [
    "growth",
    "refusal",
    "realloc",
    "promotion",
    "evacuation",
    "vacated",
    "full collection",
    "reclaimed",
    "retain",
    "pin",
  ]);
});

test(`HotArena, ${operations} operations of seed ${seed}`, { timeout }, async () => {
  await run(arenaLong(), ["growth", "refusal", "realloc", "reset", "nested"]);
});

test(`PinnedHeap, ${operations} operations of seed ${seed}`, { timeout }, async () => {
  await run(pinnedLong(), ["growth", "refusal", "realloc", "pin"]);
});

test(`DeviceHeap, ${operations} operations of seed ${seed}`, { timeout }, async () => {
  const subject = await deviceHeapLong();
  await run(subject, [
    "growth",
    "refusal",
    "realloc",
    "upload",
    "move",
    "retain",
    "slab given back",
  ]);
});

test(`DeviceArena, ${operations} operations of seed ${seed}`, { timeout }, async () => {
  const subject = await deviceArenaLong();
  await run(subject, [
    "growth",
    "refusal",
    "realloc",
    "upload",
    "move",
    "end",
    "bump back",
    "own page",
  ]);
});
