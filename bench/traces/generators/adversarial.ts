/**
 * One pattern after another, each known to hurt one policy: everything is freed between two of them,
 * but nothing is trimmed. No policy comes through all of them unharmed; that is what they are for.
 */

import { TraceBuilder } from "../trace-builder.ts";
import type { Trace } from "../trace.ts";

const KiB = 2 ** 10;
const MiB = 2 ** 20;

export type AdversarialParameters = {
  /** The bytes that sizes differ by: at least what any policy rounds to. */
  readonly quantumBytes: number;
  /** Bytes that are about live at a time. */
  readonly volumeBytes: number;
  readonly rounds: number;
};

/** The seed leaves nothing to chance here: it only names the trace. */
export function adversarialTrace(
  seed: number,
  changes: Partial<AdversarialParameters> = {},
): Trace {
  const parameters = { quantumBytes: 256, volumeBytes: 64 * MiB, rounds: 8, ...changes };
  const builder = new TraceBuilder({
    generator: "adversarial",
    seed,
    architecture: `none: ${patterns.map(({ name }) => name).join("; ")}`,
    parameters,
  });
  for (const { run } of patterns) {
    run(builder, parameters);
    builder.step();
  }
  return builder.finish();
}

interface Pattern {
  readonly name: string;
  readonly run: (builder: TraceBuilder, parameters: AdversarialParameters) => void;
}

const patterns: readonly Pattern[] = [
  { name: "rising sizes", run: rising },
  { name: "just above a bucket", run: aboveBuckets },
  { name: "bursts above the cap", run: bursts },
  { name: "pinned holes", run: pinnedHoles },
  { name: "too large to keep", run: tooLarge },
  { name: "every second block of doubling sizes", run: halves },
];

/** Against exact sizes: none comes twice. A few are live at a time. */
function rising(builder: TraceBuilder, { quantumBytes, volumeBytes }: AdversarialParameters): void {
  const live: number[] = [];
  const windowCount = 32;
  const count = Math.floor(volumeBytes / windowCount / quantumBytes);
  for (let size = 1; size <= Math.min(count, 2048); size++) {
    if (live.length === windowCount) builder.free(live.shift()!);
    live.push(builder.allocate("rising", size * quantumBytes));
  }
  builder.free(...live);
}

/** Against fixed buckets: every size is four bytes above one. */
function aboveBuckets(builder: TraceBuilder, { volumeBytes }: AdversarialParameters): void {
  for (const bucket of [512, 4 * KiB, 64 * KiB, MiB, 16 * MiB]) {
    const count = Math.min(1024, Math.floor(volumeBytes / bucket));
    const ids = Array.from({ length: count }, () => builder.allocate("above", bucket + 4));
    builder.free(...ids);
  }
}

/** Against caps by count: what is more than the cap is destroyed, and made again. */
function bursts(builder: TraceBuilder, { volumeBytes, rounds }: AdversarialParameters): void {
  const count = Math.floor(volumeBytes / (256 * KiB));
  for (let round = 0; round < rounds; round++) {
    const ids = Array.from({ length: count }, () => builder.allocate("burst", 64 * KiB));
    builder.step();
    builder.free(...ids);
    builder.step();
  }
}

/** Against sub-allocation: a small long-lived block behind every hole, and then only what is a little too large. */
function pinnedHoles(
  builder: TraceBuilder,
  { quantumBytes, volumeBytes }: AdversarialParameters,
): void {
  // All of one size, so that they lie side by side whatever fit is looked for.
  const [small, holeCount] = [4 * KiB, 31];
  const count = Math.floor(volumeBytes / small);
  const blocks = Array.from({ length: count }, () => builder.allocate("small", small));
  const isPin = (index: number): boolean => index % (holeCount + 1) === holeCount;
  builder.free(...blocks.filter((_, index) => !isPin(index)));
  const size = holeCount * small + quantumBytes;
  const largeCount = Math.floor((volumeBytes - volumeBytes / (holeCount + 1)) / size);
  const large = Array.from({ length: largeCount }, () => builder.allocate("large", size));
  builder.free(...large, ...blocks.filter((_, index) => isPin(index)));
}

/** Against caps by size: made and destroyed every time. */
function tooLarge(builder: TraceBuilder, { volumeBytes, rounds }: AdversarialParameters): void {
  for (let round = 0; round < rounds; round++) {
    const id = builder.allocate("too large", volumeBytes + 4);
    builder.step();
    builder.free(id);
    builder.step();
  }
}

/**
 * Against any allocator that does not move blocks, after J. M. Robson: of blocks of one size every
 * second is freed, and of what was left before again every second; then the size doubles, so that no
 * hole is large enough.
 */
function halves(builder: TraceBuilder, { volumeBytes }: AdversarialParameters): void {
  let live: { readonly id: number; readonly bytes: number }[] = [];
  let liveBytes = 0;
  for (let bytes = 4 * KiB; bytes <= volumeBytes / 16; bytes *= 2) {
    while (liveBytes + bytes <= volumeBytes) {
      live.push({ id: builder.allocate("doubling", bytes), bytes });
      liveBytes += bytes;
    }
    const kept = live.filter((_, index) => index % 2 === 0);
    for (const block of live.filter((_, index) => index % 2 === 1)) {
      builder.free(block.id);
      liveBytes -= block.bytes;
    }
    live = kept;
  }
  builder.free(...live.map(({ id }) => id));
}
