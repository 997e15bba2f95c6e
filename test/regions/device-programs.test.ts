/**
 * Random programs over a whole runtime: 50,000 operations on the simulated device and 2,000 on Dawn,
 * here; a million and 20,000 in `npm run test:long`. MOORAGE_SEED=n repeats the programs of an earlier
 * run.
 */

import { expect, test } from "vitest";

import type { RuntimeOptions } from "../../src/index.ts";
import { MiB } from "../../src/index.ts";
import { openRuntime } from "../harness.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import { DeviceProgram } from "./device-programs.ts";

const isLong = process.env["MOORAGE_LONG"] === "1";
const seed = Number(process.env["MOORAGE_SEED"] ?? 1 + Math.floor(Math.random() * 1e9));
const timeout = isLong ? 1_800_000 : 120_000;

/** Tight enough that memory runs out now and then. */
const tight: RuntimeOptions = {
  budget: { deviceBytes: 6 * MiB, pinnedBytes: 2 * MiB },
  slabBytes: MiB,
};
const sizes = { largest: 40_000, window: 1_150_000 };

function expectEveryBranch(counts: Readonly<Record<string, number>>, fewest: number): void {
  const branches = [
    "allocate",
    "upload",
    "free",
    "copy",
    "overwrite",
    "assign a part",
    "read",
    "read many",
    "grow",
    "shrink",
    "scope",
    "nested scope",
    "keep",
    "trim",
    "moved",
    "refused",
  ];
  for (const branch of branches) {
    expect(counts[branch] ?? 0, `${branch}, of ${JSON.stringify(counts)}`).toBeGreaterThanOrEqual(
      fewest,
    );
  }
}

const simulated = isLong ? 1_000_000 : 50_000;
test(`${simulated} operations on the simulated device, seed ${seed}`, { timeout }, async () => {
  const { runtime, device } = await openSimulated(tight);
  const program = new DeviceProgram(runtime, seed, sizes);
  await program.run(simulated);
  await runtime.dispose();
  expect(device.buffers.size).toBe(0);
  expectEveryBranch(program.counts, 100);
});

const real = isLong ? 20_000 : 2000;
test(`${real} operations on Dawn, seed ${seed}`, { timeout }, async () => {
  const runtime = await openRuntime(tight);
  const program = new DeviceProgram(runtime, seed, sizes);
  await program.run(real);
  await runtime.dispose();
  expectEveryBranch({ ...program.counts, refused: 1, moved: 1 }, 1);
});
