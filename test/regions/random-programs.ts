/** Random programs of operations, run against a region and a naive model of it side by side. */

import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { Allocation, Balance, RegionStats } from "../../src/index.ts";
import { OutOfMemoryError } from "../../src/index.ts";
import { codeOf } from "../support/caught.ts";
import { pattern } from "./subject.ts";
import type { Range, Subject } from "./subject.ts";

type Operation =
  | { readonly kind: "alloc"; readonly size: number; readonly alignment: number | null }
  | { readonly kind: "free" | "stale"; readonly pick: number }
  | { readonly kind: "realloc"; readonly pick: number; readonly size: number };

const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 700 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 40_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 100_000, max: 900_000 }) },
);
const picks = fc.nat(1_000_000);
const operations: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("alloc" as const),
      size: sizes,
      alignment: fc.constantFrom(null, 1, 16, 256),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("free" as const), pick: picks }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stale" as const), pick: picks }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("realloc" as const), pick: picks, size: sizes }),
  },
);
const programs = fc.array(operations, { minLength: 280, maxLength: 320, size: "max" });

interface Entry<A> {
  readonly handle: A;
  readonly range: Range;
  /** The bytes that must be there: those of a seed, up to a length. */
  readonly seed: number;
  readonly written: number;
}

class Model<A extends Allocation> {
  readonly subject: Subject<A>;
  live: Entry<A>[] = [];
  readonly dead: A[] = [];
  liveBytes = 0;
  peak = 0;
  total = 0;
  allocations = 0;
  frees = 0;
  failures = 0;
  reservedPeak = 0;
  #before: RegionStats;

  constructor(subject: Subject<A>) {
    this.subject = subject;
    this.#before = subject.region.stats();
  }

  made(handle: A, seed: number, written: number): Entry<A> {
    const range = this.subject.range(handle);
    expect(range.end - range.start).toBeGreaterThanOrEqual(handle.byteLength);
    expect(range.start % this.subject.defaultAlignment).toBe(0);
    for (const { range: other, handle: owner } of this.live) {
      if (range.space !== other.space || range.start >= other.end || other.start >= range.end)
        continue;
      expect.fail(`"${handle.label}" overlaps "${owner.label}"`);
    }
    const entry = { handle, range, seed, written };
    this.live.push(entry);
    this.liveBytes += handle.byteLength;
    this.total += handle.byteLength;
    this.peak = Math.max(this.peak, this.liveBytes);
    this.allocations++;
    return entry;
  }

  ended(entry: Entry<A>): void {
    this.live.splice(this.live.indexOf(entry), 1);
    this.dead.push(entry.handle);
    this.liveBytes -= entry.handle.byteLength;
    this.frees++;
  }

  /** Compares everything that can be known from outside. `liveBefore` is from before the operation. */
  check(liveBefore: number): void {
    const { region, parents } = this.subject;
    const stats = region.stats();
    expectBalanced(stats);
    expectBalanced(stats.atPeak);
    expect(stats).toMatchObject({
      liveBytes: this.liveBytes,
      live: { value: this.liveBytes, peak: this.peak, total: this.total },
      allocationCount: this.allocations,
      freeCount: this.frees,
      failedCount: this.failures,
      ...this.subject.recount(this.live.map(({ handle }) => handle)),
    });
    expect(stats.reserved.value).toBe(stats.reservedBytes);
    expect(stats.atPeak.reservedBytes).toBe(stats.reserved.peak);
    expect(stats.reserved.peak).toBeGreaterThanOrEqual(
      Math.max(this.reservedPeak, stats.reservedBytes),
    );
    if (stats.reserved.peak > this.#before.reserved.peak)
      expect(stats.atPeak.liveBytes, "live at the peak of reserved").toBe(liveBefore);
    this.reservedPeak = stats.reserved.peak;
    this.#before = stats;
    for (const parent of parents) {
      const whole = parent.stats();
      expectBalanced(whole);
      expect(whole.liveBytes).toBe(this.liveBytes);
      expect(whole.failedCount).toBe(this.failures);
      expect(whole.reservedBytes).toBeGreaterThanOrEqual(stats.reservedBytes);
    }
  }
}

function expectBalanced(balance: Balance): void {
  const { liveBytes, paddingBytes, deferredBytes, freeBytes, reservedBytes } = balance;
  expect(liveBytes + paddingBytes + deferredBytes + freeBytes).toBe(reservedBytes);
  expect(Math.min(liveBytes, paddingBytes, deferredBytes, freeBytes)).toBeGreaterThanOrEqual(0);
}

async function expectContents<A extends Allocation>(
  subject: Subject<A>,
  { handle, seed, written }: Entry<A>,
): Promise<void> {
  const bytes = (await subject.read(handle)).subarray(0, written);
  const expected = pattern(written, seed);
  // A deep comparison of a megabyte, and its report, would take longer than the program.
  if (Buffer.compare(bytes, expected) === 0) return;
  const first = bytes.findIndex((byte, index) => byte !== expected[index]);
  expect.fail(`"${handle.label}" of ${written} bytes differs from byte ${first} on`);
}

async function runProgram<A extends Allocation>(
  subject: Subject<A>,
  program: readonly Operation[],
): Promise<void> {
  const { region, maxAlignment } = subject;
  const model = new Model(subject);
  for (const [index, operation] of program.entries()) {
    const liveBefore = model.liveBytes;
    const entry =
      operation.kind === "alloc" ? undefined : model.live[operation.pick % model.live.length];
    if (operation.kind === "alloc") {
      const { size, alignment } = operation;
      const result = region.tryAlloc({
        byteLength: size,
        label: `#${index}`,
        ...(alignment !== null && alignment <= maxAlignment && { alignment }),
      });
      if (result.ok) {
        subject.write(result.value, pattern(size, index));
        model.made(result.value, index, size);
      } else {
        expect(result.error).toBeInstanceOf(OutOfMemoryError);
        model.failures++;
      }
    } else if (operation.kind === "free" && entry !== undefined) {
      region.free(entry.handle);
      model.ended(entry);
    } else if (operation.kind === "stale" && model.dead.length > 0) {
      const stale = model.dead[operation.pick % model.dead.length]!;
      expect(codeOf(() => region.free(stale))).toBe("DOUBLE_FREE");
      expect(codeOf(() => stale.byteOffset)).toBe("USE_AFTER_DISPOSE");
    } else if (operation.kind === "realloc" && entry !== undefined) {
      const result = region.tryRealloc(entry.handle, operation.size);
      if (result.ok) {
        const written = Math.min(entry.written, operation.size);
        const { space, start } = subject.range(result.value);
        // In place, both were never live at one time.
        const isInPlace = space === entry.range.space && start === entry.range.start;
        if (isInPlace) model.ended(entry);
        model.made(result.value, entry.seed, written);
        if (!isInPlace) model.ended(entry);
      } else {
        expect(result.error).toBeInstanceOf(OutOfMemoryError);
        model.failures++;
      }
    }
    model.check(liveBefore);
  }
  for (const entry of model.live) await expectContents(subject, entry);
  for (const entry of model.live.slice()) {
    region.free(entry.handle);
    model.ended(entry);
    model.check(0);
  }
}

/** Several random programs of about 300 operations, each on a region of its own. */
export function randomPrograms<A extends Allocation>(
  open: () => Promise<Subject<A>>,
  count: number,
): void {
  test("random programs: statistics add up at every step, nothing overlaps, contents stay", async () => {
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const subject = await open();
        try {
          await runProgram(subject, program);
        } finally {
          await subject.close();
        }
      }),
      { numRuns: count, endOnFailure: true },
    );
  });
}
