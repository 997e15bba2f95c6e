/** What outlives a scope, and scopes inside scopes. */

import { describe, expect, test } from "vitest";

import type { RegionStats } from "../../src/index.ts";
import { MiB } from "../../src/index.ts";
import { openRuntime, useRuntime } from "../harness.ts";
import { caught } from "../support/caught.ts";

const rt = useRuntime();
const float = { dtype: "float32" } as const;

function expectNothingHeld(): void {
  const { hot, deviceArena } = rt().stats();
  const nothing: Partial<RegionStats> = { liveBytes: 0, paddingBytes: 0, deferredBytes: 0 };
  expect(hot).toMatchObject(nothing);
  expect(deviceArena).toMatchObject({ ...nothing, reservedBytes: 0 });
}

describe("keep", () => {
  test("the value lives on when the scope's memory has been used again", async () => {
    const [kept, view] = await rt().scope((s) => {
      const x = s.tensor(Float32Array.of(1, 2, 3, 4, 5, 6), { shape: [2, 3], ...float });
      return [s.keep(x, { label: "kept" }), s.keep(s.multiply(x, 2).transpose())] as const;
    });
    for (let round = 0; round < 3; round++)
      await rt().scope(async (s) => void (await s.full([64 * 1024], -1, float).data()));
    expect(
      rt()
        .live()
        .map(({ region }) => region),
    ).toEqual(["device heap", "device heap"]);
    expect(kept.label).toBe("kept");
    expect(await kept.toArray()).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(await view.toArray()).toEqual([
      [2, 8],
      [4, 10],
      [6, 12],
    ]);
    kept.dispose();
    view.dispose();
  });

  test("recycled scratch holds old bytes: zeros clears them, and nothing relies on empty", async () => {
    await rt().scope((s) => void s.full([1024], 9, float));
    await rt().scope(async (s) => {
      expect(new Set(await s.zeros([1024], float).data())).toEqual(new Set([0]));
      const bytes = s.array("uint8", 64).fill(1);
      expect(bytes[63]).toBe(1);
    });
  });
});

describe("nesting and signals", () => {
  test("a child has memory of its own, and ends before its parent", async () => {
    await rt().scope(async (outer) => {
      const x = outer.full([16], 2, float);
      const mine = outer.array("float32", 4).fill(1);
      const before = rt().stats().deviceArena.liveBytes;
      const sum = await outer.scope(async (inner) => {
        inner.array("float32", 4).fill(2);
        const late = outer.full([4], 1, float);
        return (
          (await inner.sum(inner.multiply(x, 3)).item()) + ((await late.toArray()) as number[])[0]!
        );
      });
      expect(sum).toBe(97);
      expect(rt().stats().deviceArena.liveBytes).toBe(before + 16);
      expect([...mine]).toEqual([1, 1, 1, 1]);
      expect(await outer.sum(x).item()).toBe(32);
    });
    expectNothingHeld();
  });

  test("an abort ends the next operation with its reason, frees, and harms no other scope", async () => {
    const controller = new AbortController();
    const reason = new Error("user left");
    const other = rt().scope(async (s) => {
      const x = s.full([4], 1, float);
      await new Promise((resolve) => setTimeout(resolve, 5));
      return await s.sum(x).item();
    });
    const aborted = rt().scope(
      async (s) => {
        s.zeros([1024], float);
        controller.abort(reason);
        expect(() => s.zeros([1], float)).toThrow(reason);
        await Promise.resolve();
        return 1;
      },
      { signal: controller.signal },
    );
    await expect(aborted).rejects.toBe(reason);
    await expect(rt().scope(() => 1, { signal: controller.signal })).rejects.toBe(reason);
    expect(await other).toBe(4);
    expectNothingHeld();
  });

  test.each(["parent", "child"] as const)("a child obeys the signal of its %s", async (which) => {
    const signals = { parent: new AbortController(), child: new AbortController() };
    const run = rt().scope(
      (outer) =>
        outer.scope(
          (inner) => {
            signals[which].abort(new Error(which));
            inner.zeros([1], float);
          },
          { signal: signals.child.signal },
        ),
      { signal: signals.parent.signal },
    );
    await expect(run).rejects.toThrow(which);
    expectNothingHeld();
  });
});

test("require() refuses before any work, with numbers", async () => {
  const runtime = await openRuntime({ budget: { deviceBytes: 8 * MiB } });
  const before = runtime.stats();
  await runtime.scope(
    (s) => {
      s.require(8 * MiB);
      expect(caught(() => s.require(8 * MiB + 1))).toMatchObject({
        code: "OUT_OF_MEMORY",
        requestedBytes: 8 * MiB + 1,
        availableBytes: 8 * MiB,
      });
      const held = s.zeros([MiB], float);
      expect(caught(() => s.require(5 * MiB))).toMatchObject({ availableBytes: 4 * MiB });
      held.dispose();
      s.require(8 * MiB);
    },
    { label: "tight" },
  );
  expect(before.gpuBuffers.createdCount).toBeLessThanOrEqual(1);
  await runtime.dispose();
});
