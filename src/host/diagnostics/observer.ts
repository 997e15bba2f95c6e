/** What regions tell of their allocations, where somebody listens. Nobody does unless asked to. */

import type { RegionKind } from "../statistics.ts";

export interface RegionObserver {
  /**
   * @param owner - the region, or the one arena of many
   * @param key - what the end will be told by; unlike that of every other live allocation of the owner
   */
  allocated(owner: Observed, key: unknown, label: string, byteLength: number): void;
  freed(owner: Observed, key: unknown): void;
  /** Everything of the owner has ended at once. */
  endedAll(owner: Observed): void;
}

export interface Observed {
  readonly kind: RegionKind;
  readonly label: string;
}
