/** The harness believes no contestant: whatever is wrong with one is in its row, and its time is not. */

import { expect, test } from "vitest";

import { elementwiseCases } from "../../bench/cases/elementwise.ts";
import { rowCases } from "../../bench/cases/rows.ts";
import { raw } from "../../bench/contestants/raw/index.ts";
import type { BenchHost, Contestant, Prepared, Session } from "../../bench/core/contract.ts";
import { NotSupportedError } from "../../bench/core/contract.ts";
import { quickSettings } from "../../bench/core/measure.ts";
import type { BenchRow } from "../../bench/core/results.ts";
import { runBench } from "../../bench/core/run-bench.ts";
import { openNodeHost } from "../../bench/node/node-host.ts";

const limits = {
  hostCopyBytesPerSecond: 1e10,
  deviceCopyBytesPerSecond: 1e10,
  fmaFlopsPerSecond: 1e10,
};
const settings = {
  ...quickSettings,
  sittingMs: 10,
  budgetMs: 20,
  warmUpMs: 1,
  sampleMs: 1,
  patienceMs: 2000,
};

/** raw, with something put between the harness and its work. */
function tampered(
  change: (prepared: Prepared, session: Session) => Prepared,
  beforeClose: () => void = () => {},
): Contestant {
  return {
    ...raw,
    name: "moorage",
    kind: "moorage",
    async open(host) {
      const session = await raw.open(host);
      return {
        ...session,
        async close() {
          beforeClose();
          await session.close();
        },
        async prepare(problem) {
          const made = await session.prepare(problem);
          const variants = "run" in made ? [async () => await Promise.resolve(made)] : made;
          return variants.map((variant) => async () => change(await variant(), session));
        },
      };
    },
  };
}

async function run(contestant: Contestant, name = "softmax"): Promise<BenchRow[]> {
  const host: BenchHost = await openNodeHost();
  const { rows } = await runBench({
    host,
    cases: [...rowCases, ...elementwiseCases],
    contestants: [contestant, raw],
    selection: { quick: false, cases: [name], sizes: ["64x64", "1 x 4 Ki"] },
    settings,
    seed: 7,
    repetitionCount: 1,
    limits,
  });
  return [...rows];
}

async function failureOf(change: Parameters<typeof tampered>[0]): Promise<string> {
  const [broken, floor] = await run(tampered(change));
  expect(floor!.failure, "raw beside it").toBeNull();
  expect(floor!.median).toBeGreaterThan(0);
  expect([broken!.median, broken!.ratioToRaw, broken!.samples]).toEqual([null, null, 0]);
  return broken!.failure!;
}

/** Changes one element of what raw computed. */
function altered(at: number, change: (value: number) => number): (prepared: Prepared) => Prepared {
  return (prepared) => ({
    ...prepared,
    async outputs() {
      const [output] = await prepared.outputs();
      output![at] = change(output![at]!);
      return [output!];
    },
  });
}

test("an untouched contestant passes, with its error and its counts", async () => {
  const [row, floor] = await run(tampered((prepared) => prepared));
  expect(row!.failure).toBeNull();
  expect(row!.maxError).toBeLessThan(1e-5);
  expect(floor!.ratioToRaw).toBe(1);
  expect(row!.ratioToRaw).toBeGreaterThan(0);
  expect([row!.heldDeviceBytes, row!.buffersCreated, row!.bindGroupsCreated]).toEqual([0, 0, 0]);
  expect(row!.peakDeviceBytes).toBeGreaterThanOrEqual(2 * 64 * 64 * 4);
});

test("one wrong element is found, wherever it is", async () => {
  for (const at of [0, 1234, 64 * 64 - 1]) {
    expect(await failureOf(altered(at, (value) => value + 1e-3))).toMatch(
      /wrong result: output 0 at/,
    );
  }
});

test("NaN, a missing output and a short one are wrong", async () => {
  expect(await failureOf(altered(5, () => Number.NaN))).toMatch(/is NaN where/);
  const none = (prepared: Prepared): Prepared => ({
    ...prepared,
    outputs: () => Promise.resolve([]),
  });
  expect(await failureOf(none)).toMatch(/gave 0 outputs where 1 were due/);
  const short = (prepared: Prepared): Prepared => ({
    ...prepared,
    outputs: () => Promise.resolve([new Float32Array(3)]),
  });
  expect(await failureOf(short)).toMatch(/has 3 elements where 4096 were due/);
});

test("one that is right when it is checked first, and wrong after its samples, is found", async () => {
  let calls = 0;
  const late = (prepared: Prepared): Prepared => ({
    ...prepared,
    async outputs() {
      const outputs = await prepared.outputs();
      if (calls++ > 0) outputs[0]![7]! += 1;
      return outputs;
    },
  });
  expect(await failureOf(late)).toMatch(/wrong result/);
});

test("one that throws, hangs, or has no such operation says so", async () => {
  const throwing = (prepared: Prepared): Prepared => ({
    ...prepared,
    run: () => Promise.reject(new Error("the ship sank")),
  });
  expect(await failureOf(throwing)).toBe("the ship sank");
  const hanging = (prepared: Prepared): Prepared => ({
    ...prepared,
    run: () => new Promise(() => {}),
  });
  expect(await failureOf(hanging)).toMatch(/did not end within 2 s/);
  const lacking = (prepared: Prepared): Prepared => {
    void prepared.dispose();
    throw new NotSupportedError("not yet: no such thing");
  };
  expect(await failureOf(lacking)).toBe("not yet: no such thing");
});

test("what the device reports is a failure, even where the numbers are right", async () => {
  const failing = (prepared: Prepared, { device }: Session): Prepared => ({
    ...prepared,
    async run(iterations) {
      // No such usage: an error that only the device's event tells of.
      device.createBuffer({ label: "bad", size: 4, usage: 0 }).destroy();
      return await prepared.run(iterations);
    },
  });
  expect(await failureOf(failing)).toMatch(/the device reported: /);
});

test("what is never destroyed is held", async () => {
  let leak: GPUBuffer | undefined;
  const leaking = (prepared: Prepared, { device }: Session): Prepared => {
    // Once, whatever variants there are.
    leak ??= device.createBuffer({ label: "leak", size: 4096, usage: GPUBufferUsage.STORAGE });
    return prepared;
  };
  const [row] = await run(tampered(leaking, () => leak!.destroy()));
  expect(row!.failure).toBeNull();
  expect(row!.heldDeviceBytes).toBe(4096);
});
