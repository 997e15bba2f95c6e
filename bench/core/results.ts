/** What a run leaves behind: the shape of `--json FILE`, and what the reports are made from. */

import type { ContestantKind, ContestantName, Suite } from "./contract.ts";

export interface BenchResult {
  readonly machine: MachineInfo;
  readonly adapter: string;
  /** How every contestant waits for the device. */
  readonly wait: string;
  readonly limits: MachineLimits;
  readonly contestants: readonly ContestantInfo[];
  readonly cases: readonly BenchRow[];
  /** Where a case was watched while it ran. */
  readonly memoryOverTime?: readonly MemorySeries[];
}

export interface MachineInfo {
  readonly platform: string;
  readonly processor: string;
  readonly coreCount: number;
  readonly memoryBytes: number;
  readonly engine: string;
  readonly date: string;
  /** `--seed` repeats the run's inputs. */
  readonly seed: number;
  readonly quick: boolean;
  readonly repetitionCount: number;
  readonly seconds: number;
}

export interface MachineLimits {
  /** Bytes copied per second, times two (read and written), 64 MiB on the host. */
  readonly hostCopyBytesPerSecond: number;
  /** Bytes read and written per second by the best copy kernel. */
  readonly deviceCopyBytesPerSecond: number;
  /** Floating-point operations per second of the best chain of fused multiply-adds. */
  readonly fmaFlopsPerSecond: number;
}

export interface ContestantInfo {
  readonly name: ContestantName;
  readonly kind: ContestantKind;
  readonly title: string;
}

/** One contestant on one case at one size. Ratios are of speed: above 1 is faster than the other. */
export interface BenchRow {
  readonly suite: Suite;
  readonly case: string;
  readonly size: string;
  readonly contestant: ContestantName;
  readonly unit: "ms" | "bytes";
  /** Of one iteration, over all repetitions; null where `failure` says why. */
  readonly median: number | null;
  readonly min: number | null;
  readonly max: number | null;
  /** Half the distance between the quartiles, over the median. */
  readonly spread: number | null;
  /** How many samples the median is of. */
  readonly samples: number;
  /** Iterations in each sample. */
  readonly iterations: number;
  /** Median over the pairs: raw's sample over this one's of the same round. */
  readonly ratioToRaw: number | null;
  /** The same against the peer with the best median of this case and size. */
  readonly ratioToBestPeer: number | null;
  /** The ratio to raw of each repetition by itself. */
  readonly ratiosToRaw: readonly number[];
  /** Largest |got - expected| / max(1, |expected|). */
  readonly maxError: number | null;
  readonly failure: string | null;
  /** Which of a contestant's variants ran, and what the others took. */
  readonly variant: string | null;
  readonly variants: readonly { readonly variant: string; readonly milliseconds: number }[];
  /** Of the machine's limit: the larger of its share of the bandwidth and of the arithmetic. */
  readonly fractionOfLimit: number | null;
  readonly work: {
    readonly bytes?: number;
    readonly flops?: number;
    readonly transferBytes?: number;
    readonly hostBytes?: number;
    readonly operations?: number;
  };
  /** The most bytes of live `GPUBuffer`s, from preparing to the last sample. */
  readonly peakDeviceBytes: number | null;
  /** Still live after everything was disposed. */
  readonly heldDeviceBytes: number | null;
  /** Per iteration, in the timed samples. */
  readonly buffersCreated: number | null;
  readonly bindGroupsCreated: number | null;
  readonly pipelinesCreated: number | null;
  /** Growth of the JavaScript heap per iteration between collections, and collections in all samples. */
  readonly heapBytes: number | null;
  readonly collections: number | null;
}

/** The bytes of live `GPUBuffer`s while one contestant ran one case: each point holds until the next. */
export interface MemorySeries {
  readonly case: string;
  readonly size: string;
  readonly contestant: ContestantName;
  readonly points: readonly { readonly milliseconds: number; readonly liveBytes: number }[];
}

/** What a row is found by, in this run and in an earlier one. */
export function rowKey(row: Pick<BenchRow, "suite" | "case" | "size">): string {
  return `${row.suite}/${row.case}/${row.size}`;
}
