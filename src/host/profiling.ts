/** Hooks for a profiler: what memory does, told while it happens, with exact bytes. */

import type { PressureEvent } from "./general/pressure.ts";
import type { RegionKind } from "./statistics.ts";

export interface MemoryEvent {
  readonly region: RegionKind;
  readonly label: string;
  /** As it was asked for. */
  readonly byteLength: number;
}

export interface MoveEvent {
  readonly region: RegionKind;
  readonly byteLength: number;
}

export interface CollectionEvent {
  readonly region: RegionKind;
  /** A slice of a collection, or all of one. */
  readonly kind: "slice" | "full";
  readonly durationMs: number;
  readonly movedBytes: number;
}

/**
 * Each is called on the path of what it tells: it must be quick, must not throw, and must not use the
 * region that calls it.
 */
export interface ProfilingHooks {
  /** Told by the runtime's diagnostics, of every region. */
  onAllocation?(event: MemoryEvent): void;
  onFree?(event: MemoryEvent): void;
  /** Told by the general heap. */
  onMove?(event: MoveEvent): void;
  onCollection?(event: CollectionEvent): void;
  onPressure?(event: PressureEvent): void;
}
