/** What a scope keeps: its memory changes hands, and nothing is copied that need not be. */

import { defineElementwise, KiB, MiB } from "moorage";
import type { Tensor } from "moorage";
import { describe, expect, test } from "vitest";

import type { DeviceContext } from "../../src/device/context.ts";
import { loseDevice, openRuntime, useRuntime } from "../harness.ts";
import { codeOf, codeOfRejection } from "../support/caught.ts";

const rt = useRuntime();
const float = { dtype: "float32" } as const;

describe.each([
  { what: "large", count: 256 * KiB, dispatches: 0 },
  { what: "small", count: 64, dispatches: 1 },
])("a $what tensor", ({ count, dispatches }) => {
  const shape = [count / 8, 8];

  test("is kept with its memory, and the scope's own handle shows it until the end", async () => {
    await rt().reserve(8 * MiB);
    let escaped: Tensor<"float32", unknown> | undefined;
    const kept = await rt().scope(async (s) => {
      const x = s.full(shape, 2, { ...float, label: "x" });
      const { dispatchCount, deviceHeap, slabs } = rt().stats();
      const own = s.keep(x, { label: "kept" });
      expect(rt().stats().dispatchCount - dispatchCount).toBe(dispatches);
      expect(rt().stats().slabs.count).toBe(slabs.count);
      expect(rt().stats().deviceHeap.liveBytes - deviceHeap.liveBytes).toBe(count * 4);
      expect(rt().stats().deviceArena.liveBytes).toBe(0);
      // One memory: what is written by either shows in both.
      s.fill(x, 3);
      s.fill(own.slice(0), 4);
      expect((await x.data()).slice(6, 10)).toEqual(new Float32Array([4, 4, 3, 3]));
      expect(await own.data()).toEqual(await x.data());
      const sum = s.add(x, own);
      expect(await sum.slice(1, 0).item()).toBe(6);
      s.assign(own.slice([0, 8]), x.slice([0, 8]).transpose());
      expect(await x.slice(3, [0, 2]).data()).toEqual(new Float32Array([4, 3]));
      escaped = x as unknown as Tensor<"float32", unknown>;
      return own;
    });
    expect(kept.label).toBe("kept");
    expect(await kept.slice(0, 0).item()).toBe(4);
    expect(codeOf(() => escaped!.reshape([count]))).toBe("SCOPE_ESCAPE");
    kept.dispose();
    expect(rt().stats().deviceHeap.liveBytes).toBe(0);
  });

  test("lives as long as anybody shows it", async () => {
    const kept = await rt().scope(async (s) => {
      const x = s.full(shape, 1, float);
      const y = s.full(shape, 2, float);
      const [first, again, other] = [s.keep(x), s.keep(x), s.keep(y)];
      // Whoever kept it may drop it before the scope does, and the other way round.
      other.dispose();
      expect(await y.slice(0, 0).item()).toBe(2);
      expect(await s.add(y, 1).slice(0, 0).item()).toBe(3);
      const back = s.keep(y);
      y.dispose();
      expect(await back.slice(0, 0).item()).toBe(2);
      x.dispose();
      first.dispose();
      const z = s.full(shape, 7, float);
      expect(await z.slice(0, 0).item()).toBe(7);
      return [again, back];
    });
    expect(await Promise.all(kept.map((own) => own.slice(0, 0).item()))).toEqual([1, 2]);
    for (const own of kept) own.dispose();
    expect(rt().stats().deviceHeap.liveBytes).toBe(0);
  });

  test("outlives a scope that fails, and a second owner inside it", async () => {
    let kept: Tensor<"float32"> | undefined;
    const error = new Error("own");
    const failing = rt().scope((s) => {
      const x = s.full(shape, 1, float);
      const second = x.retain();
      kept = s.keep(second);
      x.dispose();
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    expect(await kept!.slice(0, 0).item()).toBe(1);
    kept!.dispose();
  });

  test("has failed where its work has, also where that shows later", async () => {
    const own = await openRuntime({ onError: () => {} });
    const bad = defineElementwise({
      label: "bad",
      inputs: ["a"],
      output: "float32",
      expression: "a + no_such_name",
    });
    const kept = await own.scope((s) => s.keep(s.map(bad, [s.full(shape, 1, float)])));
    expect(await codeOfRejection(kept.data())).toBe("KERNEL_COMPILATION");
    const failed = await own.scope(async (s) => {
      const x = s.map(bad, [s.full(shape, 1, float)]);
      await codeOfRejection(x.data());
      return s.keep(x);
    });
    expect(await codeOfRejection(failed.data())).toBe("KERNEL_COMPILATION");
    for (const one of [kept, failed]) one.dispose();
    await own.dispose();
  });

  test("stays in its place while the scope shows it, and may move then", async () => {
    const own = await openRuntime({ slabBytes: MiB });
    const filler = own.zeros([300 * KiB], { dtype: "uint8", label: "filler" });
    const kept = await own.scope(async (s) => {
      const x = s.full(shape, 5, float);
      const result = s.keep(x);
      filler.dispose();
      await own.compact();
      expect(await s.add(x, 1).slice(0, 0).item()).toBe(6);
      expect(await result.slice(0, 0).item()).toBe(5);
      return result;
    });
    await own.compact();
    expect(await kept.slice(-1, -1).item()).toBe(5);
    kept.dispose();
    await own.dispose();
  });

  test("is refused whole, and lost with its device", async () => {
    const own = await openRuntime({ onLost: () => {} });
    await own.reserve(4 * MiB);
    const { pool } = (own as unknown as { readonly context: DeviceContext }).context;
    await own.scope(async (s) => {
      const x = s.full(shape, 5, float);
      const { placeApart, place } = pool;
      if (dispatches > 0) {
        pool.placeApart = pool.place = () => {
          throw new RangeError("no memory");
        };
        expect(() => s.keep(x)).toThrow(RangeError);
        Object.assign(pool, { placeApart, place });
        expect(await x.slice(0, 0).item()).toBe(5);
      }
      const kept = s.keep(x);
      loseDevice(own.device);
      await own.lost;
      expect(await codeOfRejection(kept.data())).toBe("DEVICE_LOST");
      expect(await codeOfRejection(x.data())).toBe("DEVICE_LOST");
      kept.dispose();
    });
    await own.dispose();
  });
});

test("a view, and what no scope owns, is copied", async () => {
  const x = rt().full([4], 1, { ...float, label: "x" });
  const kept = await rt().scope((s) => {
    const y = s.full([4], 2, float);
    const both = [s.keep(y.slice([0, 2])), s.keep(x)];
    s.fill(y, 9);
    return both;
  });
  rt().fill(x, 9);
  expect(await kept[0]!.toArray()).toEqual([2, 2]);
  expect(await kept[1]!.toArray()).toEqual([1, 1, 1, 1]);
  for (const tensor of [x, ...kept]) tensor.dispose();
});
