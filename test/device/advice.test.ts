/** The debug mode: each habit has a program that is told once, by label, and a twin that is told nothing. */

import { KiB, MiB } from "moorage";
import type { Advice, AdviceKind } from "moorage";
import type { NodeRuntimeOptions, Runtime } from "moorage/node";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";

import { openRuntime } from "../harness.ts";
import { codeOfRejection } from "../support/caught.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** A task of its own. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** Runs a program in debug mode, twice, and gives what it was told. */
async function told(
  program: (rt: Runtime) => void | Promise<void>,
  options: NodeRuntimeOptions = {},
): Promise<Advice[]> {
  const advice: Advice[] = [];
  const rt = await openRuntime({ debug: { onAdvice: (one) => advice.push(one) }, ...options });
  for (let round = 0; round < 2; round++) {
    await program(rt);
    await turn();
  }
  rt.stats();
  await rt.dispose();
  return advice;
}

interface Habit {
  readonly label: string;
  readonly bad: (rt: Runtime) => void | Promise<void>;
  readonly good: (rt: Runtime) => void | Promise<void>;
  readonly options?: NodeRuntimeOptions;
}

const numbers = new Float32Array(64 * KiB);
const small = { shape: [16], dtype: "float32" } as const;

/** Waits until the engine has told of what is unreachable. */
async function finalized(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    collectGarbage();
    await turn();
  }
}

// In functions of their own, so that no register holds what is lost.
function loseStaging(rt: Runtime): void {
  rt.pinned.tensor({ shape: [8], dtype: "uint8", label: "lost staging" });
}

function loseTensor(rt: Runtime): void {
  rt.zeros([8], { dtype: "float32", label: "lost tensor" });
}

function losePin(rt: Runtime): void {
  rt.general.alloc({ byteLength: 8, label: "lost pin" }).pin();
}

const habits: Readonly<Partial<Record<AdviceKind, Habit>>> = {
  "scope-temporaries": {
    label: "temporary",
    bad(rt) {
      for (let step = 0; step < 100; step++)
        rt.empty([16], { dtype: "float32", label: "temporary" }).dispose();
    },
    async good(rt) {
      await rt.scope((s) => {
        for (let step = 0; step < 100; step++)
          s.empty([16], { dtype: "float32", label: "temporary" }).dispose();
      });
    },
  },
  "tight-loop": {
    label: "piece",
    bad(rt) {
      const made = Array.from({ length: 1100 }, () =>
        rt.general.alloc({ byteLength: 16, label: "piece" }),
      );
      for (const block of made.slice(0, 10)) block.dispose();
    },
    async good(rt) {
      await rt.scope((s) => {
        for (let step = 0; step < 1100; step++) s.hot.alloc({ byteLength: 16, label: "piece" });
      });
    },
  },
  "pin-transfers": {
    label: "frame",
    async bad(rt) {
      for (let step = 0; step < 20; step++) {
        rt.tensor(numbers, { shape: [numbers.length], dtype: "float32", label: "frame" }).dispose();
        await rt.sync();
      }
    },
    async good(rt) {
      const staging = rt.pinned.tensor({
        shape: [numbers.length],
        dtype: "float32",
        label: "frame",
      });
      for (let step = 0; step < 20; step++) {
        staging.data.set(numbers);
        rt.upload(staging).dispose();
        await staging.mapped();
      }
      staging.dispose();
    },
  },
  "dispose-pinned": {
    label: "lost staging",
    async bad(rt) {
      loseStaging(rt);
      await finalized();
    },
    async good(rt) {
      rt.pinned.tensor({ shape: [8], dtype: "uint8", label: "lost staging" }).dispose();
      await finalized();
    },
    options: { onLeak: () => {} },
  },
  "dispose-tensor": {
    label: "lost tensor",
    async bad(rt) {
      loseTensor(rt);
      await finalized();
    },
    async good(rt) {
      rt.zeros([8], { dtype: "float32", label: "lost tensor" }).dispose();
      await rt.scope((s) => void s.zeros([8], { dtype: "float32", label: "lost tensor" }));
      await finalized();
    },
    options: { onLeak: () => {} },
  },
  "dispose-pin": {
    label: "lost pin",
    async bad(rt) {
      losePin(rt);
      await finalized();
    },
    async good(rt) {
      rt.general.alloc({ byteLength: 8, label: "lost pin" }).pin().dispose();
      await finalized();
    },
  },
  "require-first": {
    label: "large job",
    async bad(rt) {
      const job = rt.scope((s) => void s.zeros([8 * MiB], { dtype: "float32" }), {
        label: "large job",
      });
      expect(await codeOfRejection(job)).toBe("OUT_OF_MEMORY");
    },
    async good(rt) {
      const job = rt.scope((s) => s.require(32 * MiB), { label: "large job" });
      expect(await codeOfRejection(job)).toBe("OUT_OF_MEMORY");
    },
    options: { budget: { deviceBytes: 8 * MiB } },
  },
  "scope-escape": {
    label: "result",
    async bad(rt) {
      const escape = rt.scope((s): unknown => s.zeros([4], { dtype: "float32", label: "result" }));
      expect(await codeOfRejection(escape)).toBe("SCOPE_ESCAPE");
    },
    async good(rt) {
      const kept = await rt.scope((s) =>
        s.keep(s.zeros([4], { dtype: "float32", label: "result" })),
      );
      kept.dispose();
    },
  },
  "raw-view-moved": {
    label: "table",
    async bad(rt) {
      const block = rt.general.alloc({ byteLength: 1000, label: "table" });
      const view = block.bytes();
      await turn();
      rt.general.collect();
      expect(view.length).toBe(0);
      block.dispose();
    },
    async good(rt) {
      const block = rt.general.alloc({ byteLength: 1000, label: "table" });
      const pin = block.pin();
      const view = pin.bytes();
      await turn();
      rt.general.collect();
      expect(view.length).toBe(1000);
      pin.dispose();
      block.dispose();
    },
  },
  "mixed-structure": {
    label: "model",
    async bad(rt) {
      const weights = rt.pinned.tensor({ ...small, label: "model/weights" });
      rt.upload(weights).dispose();
      rt.tensor(new Float32Array(16), { ...small, label: "model/bias" }).dispose();
      await weights.mapped();
      weights.dispose();
    },
    async good(rt) {
      const parts = ["model/weights", "model/bias"].map((label) =>
        rt.pinned.tensor({ ...small, label }),
      );
      for (const part of parts) {
        rt.upload(part).dispose();
        await part.mapped();
        part.dispose();
      }
    },
  },
  "pressure-ignored": {
    label: "general heap",
    bad(rt) {
      const hoard = Array.from({ length: 14 }, () =>
        rt.general.alloc({ byteLength: MiB, label: "hoard" }),
      );
      for (let step = 0; step < 4; step++)
        expect(rt.general.tryAlloc({ byteLength: 8 * MiB }).ok).toBe(false);
      for (const block of hoard) block.dispose();
      rt.general.collect();
    },
    good(rt) {
      const hoard = Array.from({ length: 14 }, () =>
        rt.general.alloc({ byteLength: MiB, label: "hoard" }),
      );
      const end = rt.general.onPressure(() => {
        for (const block of hoard.splice(0)) block.dispose();
      });
      const large = rt.general.alloc({ byteLength: 8 * MiB });
      end();
      large.dispose();
      rt.general.collect();
    },
    options: { budget: { generalBytes: 20 * MiB } },
  },
};

describe.each(Object.entries(habits))("%s", (kind, { label, bad, good, options }) => {
  test("is told once, by label", async () => {
    const advice = await told(bad, options);
    expect(advice.map((one) => [one.kind, one.label])).toEqual([[kind, label]]);
    expect(advice[0]!.message).toContain(`"${label}"`);
  });

  test("is not told to who does it well", async () => {
    expect(await told(good, options)).toEqual([]);
  });
});

test("what is lost is told with the place that made it", async () => {
  const advice = await told(
    async (rt) => {
      loseTensor(rt);
      await finalized();
    },
    { onLeak: () => {} },
  );
  expect(advice[0]!.origin).toContain("loseTensor");
});

test("read-statistics: who runs in debug mode and reads none is told when it ends", async () => {
  const advice: Advice[] = [];
  const debug = { onAdvice: (one: Advice): void => void advice.push(one) };
  const blind = await openRuntime({ debug, label: "blind" });
  await blind.dispose();
  expect(advice.map((one) => [one.kind, one.label])).toEqual([["read-statistics", "blind"]]);
  const seeing = await openRuntime({ debug, label: "seeing" });
  seeing.report();
  await seeing.dispose();
  expect(advice).toHaveLength(1);
});
