/**
 * The contract of `src/host/region.ts` as tests: one suite for every region. A region brings a
 * `Subject`; what the suite knows of its inside is where an allocation lies and what is free.
 */

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import type { Allocation, MemoryRegion, RegionStats } from "../../src/index.ts";
import { OutOfMemoryError } from "../../src/index.ts";
import { caught, codeOf, codeOfRejection, rejected } from "../support/caught.ts";
import { randomPrograms } from "./random-programs.ts";
import { budgetBytes, pattern } from "./subject.ts";
import type { Subject } from "./subject.ts";

const quarter = budgetBytes / 4;

/** The statistics without what a refused request counts. */
function settled(stats: RegionStats): RegionStats {
  return { ...stats, failedCount: 0 };
}

export function conformance<A extends Allocation>(
  name: string,
  open: () => Promise<Subject<A>>,
  programCount = 5,
): void {
  describe(name, () => {
    let subject: Subject<A>;
    let region: MemoryRegion<A>;
    let live: A[];
    beforeEach(async () => {
      subject = await open();
      ({ region } = subject);
      live = [];
    });
    afterEach(async () => {
      for (const allocation of live) if (allocation.isAlive) region.free(allocation);
      expect(region.stats().liveBytes).toBe(0);
      await subject.close();
    });
    const alloc = (byteLength: number, label = "x"): A => {
      const made = region.alloc({ byteLength, label });
      live.push(made);
      return made;
    };

    test("a handle knows its label and size, and holds what was written", async () => {
      const made = alloc(1001, "weights");
      expect(made).toMatchObject({ label: "weights", byteLength: 1001, isAlive: true });
      const other = alloc(1001);
      subject.write(made, pattern(1001, 1));
      subject.write(other, pattern(1001, 2));
      expect(await subject.read(made)).toEqual(pattern(1001, 1));
      expect(await subject.read(other)).toEqual(pattern(1001, 2));
    });

    test("after free every use is refused, by name, even when the memory has a new owner", () => {
      const dead = alloc(512, "dead");
      region.free(dead);
      const heirs = [alloc(512), alloc(512)];
      expect(dead.isAlive).toBe(false);
      for (const use of [() => dead.byteOffset, () => region.realloc(dead, 1024)]) {
        const error = caught(use);
        expect(error).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "dead" });
        expect(error.message).toContain("dead");
      }
      const before = region.stats();
      expect(caught(() => region.free(dead))).toMatchObject({ code: "DOUBLE_FREE", label: "dead" });
      expect(region.stats()).toEqual(before);
      expect(heirs.every(({ isAlive }) => isAlive)).toBe(true);
    });

    test("a foreign handle is refused, and nothing changes on either side", async () => {
      const made = alloc(300, "mine");
      subject.write(made, pattern(300, 3));
      const before = [region.stats(), subject.stranger.stats()];
      for (const use of [
        () => subject.stranger.free(made),
        () => subject.stranger.realloc(made, 600),
      ])
        expect(caught(use)).toMatchObject({ code: "FOREIGN_HANDLE", label: "mine" });
      expect([region.stats(), subject.stranger.stats()]).toEqual(before);
      expect(await subject.read(made)).toEqual(pattern(300, 3));
    });

    test.each([1, 999, 1000, 1001, 5000, 300_000])(
      "realloc of 1000 bytes to %d keeps the contents up to the smaller size",
      async (size) => {
        const old = alloc(1000, "grown");
        subject.write(old, pattern(1000, 4));
        const next = region.realloc(old, size);
        live.push(next);
        expect(old.isAlive).toBe(false);
        expect(next).toMatchObject({ label: "grown", byteLength: size, isAlive: true });
        const kept = Math.min(size, 1000);
        expect((await subject.read(next)).subarray(0, kept)).toEqual(pattern(kept, 4));
        expect(region.stats()).toMatchObject({ liveBytes: size, allocationCount: 2, freeCount: 1 });
      },
    );

    test("a realloc that fails leaves the handle and its contents alone", async () => {
      const old = alloc(1000);
      subject.write(old, pattern(1000, 5));
      const before = settled(region.stats());
      expect(codeOf(() => region.realloc(old, budgetBytes + 1))).toBe("OUT_OF_MEMORY");
      expect(region.tryRealloc(old, budgetBytes + 1)).toMatchObject({ ok: false });
      for (const size of [0, -1, 1.5, NaN])
        expect(codeOf(() => region.realloc(old, size))).toBe("INVALID_ARGUMENT");
      expect(settled(region.stats())).toEqual(before);
      expect(await subject.read(old)).toEqual(pattern(1000, 5));
    });

    test("alignment is given or refused, and never ignored", () => {
      const { defaultAlignment, maxAlignment } = subject;
      for (let alignment = 1; alignment <= 8192; alignment *= 2) {
        // One byte between them, so that nothing is aligned by chance.
        expect(alloc(1).byteOffset % defaultAlignment).toBe(0);
        const request = { byteLength: 40, alignment };
        if (alignment > maxAlignment) {
          expect(codeOf(() => region.alloc(request))).toBe("UNSUPPORTED_ALIGNMENT");
          continue;
        }
        const made = region.alloc(request);
        live.push(made);
        expect(made.byteOffset % alignment, `alignment of ${alignment}`).toBe(0);
      }
    });

    test.each([
      [{ byteLength: 0 }, "INVALID_ARGUMENT"],
      [{ byteLength: -8 }, "INVALID_ARGUMENT"],
      [{ byteLength: 1.5 }, "INVALID_ARGUMENT"],
      [{ byteLength: NaN }, "INVALID_ARGUMENT"],
      [{ byteLength: Infinity }, "INVALID_ARGUMENT"],
      [{ byteLength: 2 ** 53 }, "SIZE_OVERFLOW"],
      [{ byteLength: 8, alignment: 3 }, "UNSUPPORTED_ALIGNMENT"],
      [{ byteLength: 8, alignment: 0 }, "UNSUPPORTED_ALIGNMENT"],
    ] as const)("a request that cannot be right, %j, is %s in every form", async (bad, code) => {
      const before = region.stats();
      const request = { ...bad, label: "bad" };
      expect(caught(() => region.alloc(request))).toMatchObject({ code, label: "bad" });
      expect(region.tryAlloc(request)).toMatchObject({ ok: false, error: { code } });
      expect(await codeOfRejection(region.allocAsync(request))).toBe(code);
      expect(await region.tryAllocAsync(request)).toMatchObject({ ok: false, error: { code } });
      expect(region.stats()).toEqual(before);
    });

    test("the forms that return, and those that may wait, give the same memory", async () => {
      const results = [
        region.tryAlloc({ byteLength: 100, label: "a" }),
        await region.tryAllocAsync({ byteLength: 100, label: "b" }),
        { ok: true as const, value: await region.allocAsync({ byteLength: 100, label: "c" }) },
      ];
      for (const result of results) {
        if (!result.ok) throw result.error;
        live.push(result.value);
        subject.write(result.value, pattern(100, live.length));
      }
      expect(live.map(({ label }) => label)).toEqual(["a", "b", "c"]);
      for (const [index, made] of live.entries())
        expect(await subject.read(made)).toEqual(pattern(100, index + 1));
      const grown = region.tryRealloc(live[0]!, 200);
      if (!grown.ok) throw grown.error;
      live.push(grown.value);
      expect(region.stats()).toMatchObject({ liveBytes: 400, failedCount: 0 });
    });

    test("a spent budget is an error with numbers, and then nothing has changed", async () => {
      for (let index = 0; index < 4; index++) alloc(quarter, `block ${index}`);
      const before = region.stats();
      expect(before.reservedBytes).toBe(budgetBytes);
      const request = { byteLength: quarter, label: "too much" };
      const errors = [
        caught(() => region.alloc(request)),
        await rejected(region.allocAsync(request)),
      ];
      for (const result of [region.tryAlloc(request), await region.tryAllocAsync(request)]) {
        if (result.ok) throw new Error("more than the budget was given");
        errors.push(result.error);
      }
      for (const error of errors) {
        expect(error).toBeInstanceOf(OutOfMemoryError);
        expect(error).toMatchObject({
          code: "OUT_OF_MEMORY",
          label: "too much",
          requestedBytes: quarter,
          availableBytes: 0,
        });
        for (const part of ["too much", String(quarter), String(budgetBytes)])
          expect(error.message).toContain(part);
      }
      expect(region.stats()).toEqual({ ...before, failedCount: before.failedCount + 4 });
      if (!subject.reusesFreed) return;
      region.free(live[1]!);
      const again = alloc(quarter);
      expect(again.isAlive).toBe(true);
      expect(region.stats().reservedBytes).toBe(budgetBytes);
    });

    test("the engine's largest size is refused like any other", () => {
      const before = settled(region.stats());
      const code = codeOf(() => region.alloc({ byteLength: Number.MAX_SAFE_INTEGER }));
      expect(["OUT_OF_MEMORY", "SIZE_OVERFLOW", "LIMIT_EXCEEDED"]).toContain(code);
      expect(settled(region.stats())).toEqual(before);
    });

    randomPrograms(open, programCount);
  });
}
