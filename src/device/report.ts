/** What a runtime can say of its memory: numbers first, then the same numbers for people. */

import type { Balance, RegionStats } from "../host/statistics.ts";
import { formatBytes } from "../host/units.ts";
import type { DeviceContext } from "./context.ts";
import type { LiveAllocation } from "./live-allocations.ts";
import type { GpuBufferStats } from "./memory/gpu-memory.ts";
import type { LadderCounts } from "./memory/ladder.ts";

/** The statistics of a runtime at one instant. */
export interface RuntimeStats {
  readonly hot: RegionStats;
  readonly pinned: RegionStats;
  readonly general: RegionStats;
  readonly deviceArena: RegionStats;
  readonly deviceHeap: RegionStats;
  /** The host's regions summed, and the device's. */
  readonly host: Balance;
  readonly device: Balance;
  /** Slabs: what both device regions hold together. */
  readonly slabs: {
    readonly reservedBytes: number;
    readonly peakReservedBytes: number;
    readonly count: number;
  };
  /** What was done about device memory that ran out. */
  readonly ladder: LadderCounts;
  /** Every `GPUBuffer` of the runtime. */
  readonly gpuBuffers: GpuBufferStats;
  readonly bindGroupsCreated: number;
  readonly dispatchCount: number;
  readonly submitCount: number;
}

export function collectStats(context: DeviceContext): RuntimeStats {
  const { pool } = context;
  const hot = context.hotPages.ledger.stats();
  const pinned = context.pinned.stats();
  const general = context.general.stats();
  const deviceArena = context.pages.ledger.stats();
  const deviceHeap = context.heap.stats();
  return {
    hot,
    pinned,
    general,
    deviceArena,
    deviceHeap,
    host: sumOf([hot, pinned, general]),
    device: sumOf([deviceArena, deviceHeap]),
    slabs: {
      reservedBytes: pool.reservedBytes,
      peakReservedBytes: pool.peakReservedBytes,
      count: pool.slabs.length,
    },
    ladder: pool.ladder.counts(),
    gpuBuffers: context.memory.stats(),
    bindGroupsCreated: context.groups.createdCount,
    dispatchCount: context.stream.dispatchCount,
    submitCount: context.stream.submitCount,
  };
}

function sumOf(regions: readonly Balance[]): Balance {
  const sum = (term: keyof Balance): number =>
    regions.reduce((total, region) => total + region[term], 0);
  return {
    liveBytes: sum("liveBytes"),
    paddingBytes: sum("paddingBytes"),
    deferredBytes: sum("deferredBytes"),
    freeBytes: sum("freeBytes"),
    reservedBytes: sum("reservedBytes"),
  };
}

/** A table of all regions, and every live allocation by label. */
export function formatReport(stats: RuntimeStats, live: readonly LiveAllocation[]): string {
  const rows: readonly (readonly [string, RegionStats])[] = [
    ["hot arenas (host)", stats.hot],
    ["pinned heap (host)", stats.pinned],
    ["general heap (host)", stats.general],
    ["device arenas", stats.deviceArena],
    ["device heap", stats.deviceHeap],
  ];
  const lines = [
    row(["region", "live", "padding", "deferred", "free", "reserved", "peak live"]),
    ...rows.map(([name, region]) =>
      row([
        name,
        ...[
          region.liveBytes,
          region.paddingBytes,
          region.deferredBytes,
          region.freeBytes,
          region.reservedBytes,
        ].map(formatBytes),
        formatBytes(region.live.peak),
      ]),
    ),
    `GPU buffers: ${stats.gpuBuffers.liveCount} live of ${stats.gpuBuffers.createdCount} created, ` +
      `${formatBytes(stats.gpuBuffers.liveBytes)} now, ${formatBytes(stats.gpuBuffers.peakBytes)} at most; ` +
      `${stats.slabs.count} slabs; ${stats.dispatchCount} dispatches in ${stats.submitCount} submissions`,
    live.length === 0 ? "Nothing is left allocated." : `${live.length} live:`,
    ...live.map(
      ({ label, region, byteLength }) => `  "${label}" ${formatBytes(byteLength)} in ${region}`,
    ),
  ];
  return lines.join("\n");
}

function row(cells: readonly string[]): string {
  return cells
    .map((cell, column) => (column === 0 ? cell.padEnd(19) : cell.padStart(10)))
    .join(" ");
}
