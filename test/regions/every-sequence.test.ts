/** Every sequence of up to six operations over a small heap: nothing is lost, and nothing is left. */

import { expect, test } from "vitest";

import { GeneralHeap } from "../../src/index.ts";
import type { GeneralBlock, Pin } from "../../src/index.ts";

const regionBytes = 16 * 1024;

/** A heap of four regions, one of them kept for compaction. */
class Play {
  readonly heap = new GeneralHeap({
    regionBytes,
    budgetBytes: 4 * regionBytes,
    youngRegions: 0,
    promotionAge: 1,
    growth: 0,
    finalizers: () => ({ register() {}, unregister() {} }),
    onIgnoredPressure: () => {},
  });
  readonly live: { block: GeneralBlock; value: number; pin: Pin | null }[] = [];
  #next = 0;

  #alloc(byteLength: number): void {
    const made = this.heap.tryAlloc({ byteLength });
    if (!made.ok) {
      expect(made.error.code).toBe("OUT_OF_MEMORY");
      return;
    }
    const value = ++this.#next;
    made.value.bytes().fill(value);
    this.live.push({ block: made.value, value, pin: null });
  }

  #end(entry: { block: GeneralBlock; pin: Pin | null } | undefined): void {
    entry?.pin?.dispose();
    entry?.block.dispose();
  }

  readonly operations: readonly (() => void)[] = [
    () => this.#alloc(100),
    // Large blocks above a quarter, and two of these do not fit into one region.
    () => this.#alloc(regionBytes / 4),
    () => this.#alloc(regionBytes),
    () => this.#end(this.live.shift()),
    () => {
      const newest = this.live.at(-1);
      if (newest === undefined) return;
      newest.pin?.dispose();
      newest.pin = newest.pin === null ? newest.block.pin() : null;
    },
    () => {
      this.heap.collect();
      this.heap.safePoint();
    },
  ];

  check(sequence: readonly number[]): void {
    let liveBytes = 0;
    for (const { block, value, pin } of this.live) {
      liveBytes += block.byteLength;
      const bytes = block.bytes();
      const isWhole =
        bytes.length === block.byteLength && bytes[0] === value && bytes.at(-1) === value;
      const isInPlace =
        pin === null || pin.bytes() === bytes || pin.bytes().buffer === bytes.buffer;
      if (!isWhole || !isInPlace) expect.fail(`contents after ${sequence.join(", ")}`);
    }
    const stats = this.heap.stats();
    const { paddingBytes, deferredBytes, freeBytes, reservedBytes } = stats;
    const isBalanced = stats.liveBytes + paddingBytes + deferredBytes + freeBytes === reservedBytes;
    if (!isBalanced || stats.liveBytes !== liveBytes || reservedBytes > 4 * regionBytes) {
      expect.fail(`statistics after ${sequence.join(", ")}: ${JSON.stringify(stats)}`);
    }
  }

  close(sequence: readonly number[]): void {
    for (const entry of this.live) this.#end(entry);
    this.heap.collect();
    this.heap.trim();
    const { liveBytes, reservedBytes } = this.heap.stats();
    if (liveBytes !== 0 || reservedBytes !== 0)
      expect.fail(`something is left of ${sequence.join(", ")}`);
  }
}

test("every sequence of up to six of six operations", { timeout: 120_000 }, () => {
  const kinds = new Play().operations.length;
  // Six of them, unless a mutation test has thousands of runs to make.
  const longest = Number(process.env["MOORAGE_SEQUENCES"] ?? 6);
  let count = 0;
  for (let length = 1; length <= longest; length++) {
    for (let number = 0; number < kinds ** length; number++) {
      const sequence = Array.from({ length }, (_, at) => Math.floor(number / kinds ** at) % kinds);
      const play = new Play();
      for (const kind of sequence) {
        play.operations[kind]!();
        play.check(sequence);
      }
      play.close(sequence);
      count++;
    }
  }
  expect(count).toBe((kinds ** (longest + 1) - kinds) / (kinds - 1));
  if (longest === 6) expect(count).toBe(55_986);
});
