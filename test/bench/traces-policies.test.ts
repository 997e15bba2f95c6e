/** The models of other libraries' allocators: each does what its library is known to do. */

import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { CountedBuffers } from "../../bench/traces/buffers.ts";
import type { PooledBuffer } from "../../bench/traces/buffers.ts";
import {
  BareBuffers,
  BucketPool,
  CappedExactPool,
  ExactSizePool,
} from "../../bench/traces/policies.ts";
import type { Policy } from "../../bench/traces/policies.ts";

const MiB = 2 ** 20;

function several(policy: Policy, count: number, bytes: number): PooledBuffer[] {
  return Array.from({ length: count }, () => policy.allocate(bytes, "x"));
}

function freeAll(policy: Policy, buffers: readonly PooledBuffer[]): void {
  for (const buffer of buffers) policy.free(buffer);
}

describe("bare", () => {
  test("makes a buffer for each allocation and destroys it at once", () => {
    const policy = new BareBuffers(new CountedBuffers());
    const first = policy.allocate(5, "x");
    expect(first.byteLength).toBe(8);
    policy.free(first);
    policy.allocate(5, "x");
    expect(policy.stats()).toEqual({
      reservedBytes: 8,
      peakReservedBytes: 8,
      liveBytes: 5,
      bufferCreates: 2,
      bufferDestroys: 1,
      cacheHits: 0,
    });
  });
});

describe("exact-size pool", () => {
  test("takes a freed buffer for the same size only, once the work that used it is submitted", () => {
    const policy = new ExactSizePool(new CountedBuffers());
    const first = policy.allocate(1000, "x");
    policy.free(first);
    expect(policy.allocate(1000, "x")).not.toBe(first);
    policy.step();
    expect(policy.allocate(996, "x")).not.toBe(first);
    expect(policy.allocate(997, "x")).toBe(first);
    expect(policy.stats().cacheHits).toBe(1);
  });

  test("never shrinks", () => {
    const policy = new ExactSizePool(new CountedBuffers());
    let reserved = 0;
    for (let size = 4; size <= 4000; size += 4) {
      freeAll(policy, several(policy, 3, size));
      policy.step();
      expect(policy.stats().reservedBytes).toBeGreaterThan(reserved);
      reserved = policy.stats().reservedBytes;
    }
    freeAll(policy, several(policy, 1, 512 * MiB));
    policy.step();
    expect(policy.stats()).toMatchObject({
      liveBytes: 0,
      reservedBytes: reserved + 512 * MiB,
      bufferDestroys: 0,
    });
  });
});

describe("bucketed pool", () => {
  test("rounds up to a bucket; what is larger than all of them to 16 bytes", () => {
    const policy = new BucketPool(new CountedBuffers());
    const sizes = [1, 64, 65, 513, 2048, 8193, MiB, MiB + 1, 20 * MiB, 167_772_160, 167_772_161];
    expect(sizes.map((bytes) => policy.allocate(bytes, "x").byteLength)).toEqual([
      64,
      64,
      128,
      2048,
      2048,
      16_384,
      MiB,
      2 * MiB,
      26_214_400,
      167_772_160,
      167_772_176,
    ]);
  });

  test.each([
    { bytes: 64, cap: 250 },
    { bytes: 512, cap: 200 },
    { bytes: 2048, cap: 230 },
    { bytes: 60_000, cap: 50 },
    { bytes: 2 * MiB, cap: 30 },
    { bytes: 44_236_800, cap: 2 },
    { bytes: 160 * MiB, cap: 6 },
    { bytes: 200 * MiB, cap: 0 },
  ])("keeps $cap free buffers for $bytes bytes, from the next step on", ({ bytes, cap }) => {
    const policy = new BucketPool(new CountedBuffers());
    const buffers = several(policy, cap + 3, bytes);
    freeAll(policy, buffers);
    expect(policy.stats().bufferDestroys).toBe(0);
    policy.step();
    expect(policy.stats()).toMatchObject({
      bufferDestroys: 3,
      reservedBytes: cap * buffers[0]!.byteLength,
    });
    several(policy, cap + 1, bytes);
    expect(policy.stats()).toMatchObject({ cacheHits: cap, bufferCreates: cap + 4 });
  });
});

describe("capped exact-size pool", () => {
  test("takes a freed buffer at once, for the same size only", () => {
    const policy = new CappedExactPool(new CountedBuffers());
    const first = policy.allocate(1000, "x");
    policy.free(first);
    expect(policy.allocate(1004, "x")).not.toBe(first);
    expect(policy.allocate(1000, "x")).toBe(first);
  });

  test("keeps 64 of a size, of any number of sizes, and none above 64 MiB", () => {
    const policy = new CappedExactPool(new CountedBuffers());
    for (const size of [4, 8, 12]) freeAll(policy, several(policy, 70, size));
    expect(policy.stats()).toMatchObject({ bufferDestroys: 18, reservedBytes: 64 * (4 + 8 + 12) });
    freeAll(policy, [policy.allocate(64 * MiB, "x"), policy.allocate(64 * MiB + 1, "x")]);
    expect(policy.stats()).toMatchObject({
      bufferDestroys: 19,
      reservedBytes: 64 * (4 + 8 + 12) + 64 * MiB,
    });
  });
});

test("any program: no buffer has two owners, each is large enough, and the counts agree", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("allocate" as const), bytes: fc.integer({ min: 1, max: 5000 }) }),
    fc.record({ kind: fc.constant("free" as const), which: fc.nat() }),
    fc.record({ kind: fc.constant("step" as const) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), fc.nat(3), (operations, which) => {
      const buffers = new CountedBuffers();
      const policy = [BareBuffers, ExactSizePool, BucketPool, CappedExactPool].map(
        (Kind) => new Kind(buffers),
      )[which]!;
      const live: { readonly buffer: PooledBuffer; readonly bytes: number }[] = [];
      for (const each of operations) {
        if (each.kind === "allocate") {
          const buffer = policy.allocate(each.bytes, "x");
          expect(buffer.byteLength).toBeGreaterThanOrEqual(each.bytes);
          expect(live.some((other) => other.buffer === buffer)).toBe(false);
          live.push({ buffer, bytes: each.bytes });
        } else if (each.kind === "free" && live.length > 0) {
          policy.free(live.splice(each.which % live.length, 1)[0]!.buffer);
        } else policy.step();
        const stats = policy.stats();
        const bytes = live.reduce((sum, block) => sum + block.bytes, 0);
        expect(stats.liveBytes).toBe(bytes);
        expect(stats.reservedBytes).toBeGreaterThanOrEqual(bytes);
        expect(stats.peakReservedBytes).toBeGreaterThanOrEqual(stats.reservedBytes);
      }
      freeAll(
        policy,
        live.map(({ buffer }) => buffer),
      );
      policy.close();
      const { bufferCreates, bufferDestroys, reservedBytes } = policy.stats();
      expect([reservedBytes, bufferDestroys]).toEqual([0, bufferCreates]);
    }),
    { numRuns: 200 },
  );
});
