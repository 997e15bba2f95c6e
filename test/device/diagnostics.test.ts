/** A runtime's diagnostics follow the device's memory as they do the host's. */

import type { LiveAllocation } from "moorage";
import { describe, expect, test } from "vitest";

import { parseTrace } from "../../bench/traces/trace-text.ts";
import { validateTrace } from "../../bench/traces/trace.ts";
import { openRuntime } from "../harness.ts";
import { caught } from "../support/caught.ts";

test("tensors, scratch and staging, by label, until they end", async () => {
  const heard = { allocated: 0, freed: 0 };
  const rt = await openRuntime({
    diagnostics: {
      stackEveryBytes: 1,
      hooks: {
        onAllocation: ({ byteLength }) => void (heard.allocated += byteLength),
        onFree: ({ byteLength }) => void (heard.freed += byteLength),
      },
    },
  });
  const diagnostics = rt.diagnostics!;
  const x = rt.tensor(new Float32Array(256), {
    shape: [16, 16],
    dtype: "float32",
    label: "weights",
  });
  await rt.scope(async (s) => {
    const y = s.matmul(x, x, { label: "product" });
    const names = diagnostics.outstanding().map(({ label, region }) => `${label} in ${region}`);
    expect(names).toContain("weights in device-heap");
    expect(names).toContain("product in device-arena");
    await y.data();
  });
  const error = caught(() => diagnostics.assertNoLeaks());
  expect(error).toMatchObject({ code: "LEAK", label: "weights" });
  expect(error.message).toContain("diagnostics.test");
  x.dispose();
  await rt.sync();
  diagnostics.assertNoLeaks();
  validateTrace(parseTrace(diagnostics.trace!.toText()));
  validateTrace(parseTrace(diagnostics.trace!.toText(["device-heap"])));
  await rt.dispose();
  expect(heard.freed).toBe(heard.allocated);
  expect(heard.allocated).toBeGreaterThan(2048);
});

describe("a scope's end", () => {
  const small = { shape: [4], dtype: "float32" } as const;
  const four = new Float32Array(4);

  test("tells what outlives it, is not its result, and did not live before", async () => {
    const rt = await openRuntime({ diagnostics: { stackEveryBytes: 1 } });
    const before = rt.tensor(four, { ...small, label: "before" });
    const told: LiveAllocation[] = [];
    const lost: Disposable[] = [];
    const result = await rt.scope(
      (s) => {
        s.zeros([4], { dtype: "float32", label: "scratch" });
        lost.push(rt.tensor(four, { ...small, label: "forgotten" }));
        lost.push(rt.pinned.tensor({ ...small, label: "staging" }));
        rt.tensor(four, { ...small, label: "disposed" }).dispose();
        return { kept: [s.keep(s.zeros([4], { dtype: "float32", label: "kept" }))] };
      },
      { onLeak: (leaks) => told.push(...leaks) },
    );
    expect(told.map(({ label, region, byteLength }) => [label, region, byteLength])).toEqual([
      ["forgotten", "device heap", 16],
      ["staging", "pinned heap", 16],
    ]);
    expect(told[0]!.stack).toContain("diagnostics.test");
    expect(told[0]!.ageMs).toBeGreaterThanOrEqual(0);
    for (const one of [before, ...lost, ...result.kept]) one[Symbol.dispose]();
    await rt.dispose();
  });

  test("tells of a body that failed, and hides neither failure; silent where nothing is lost", async () => {
    const rt = await openRuntime();
    const error = new Error("user's own");
    const lost: Disposable[] = [];
    const failing = (onLeak: () => void): Promise<void> =>
      rt.scope(
        () => {
          lost.push(rt.tensor(four, small));
          throw error;
        },
        { onLeak },
      );
    let calls = 0;
    await expect(failing(() => void calls++)).rejects.toBe(error);
    expect(calls).toBe(1);
    const refused = new Error("a leak");
    const both = failing(() => {
      throw refused;
    });
    await expect(both).rejects.toMatchObject({ errors: [error, refused] });
    for (const one of lost) one[Symbol.dispose]();
    await rt.scope((s) => void s.zeros([4], { dtype: "int32" }), { onLeak: () => void calls++ });
    expect(calls).toBe(1);
    await rt.dispose();
  });
});

test("nothing is followed unless it is asked for", async () => {
  const rt = await openRuntime();
  expect(rt.diagnostics).toBeNull();
  await rt.dispose();
});
