/** What host tensors are allocated from. */

import type { ArrayOf, HostDType } from "../dtype.ts";
import type { Shape } from "../layout.ts";
import type { MaybeBranded } from "../lifetime.ts";
import type { Allocation, AllocationRequest } from "../region.ts";

/** Memory that the host sees as typed arrays. */
export interface HostAllocation extends Allocation {
  /** The whole allocation; throws once it has ended, or while something else owns its memory. */
  array<D extends HostDType>(dtype: D): ArrayOf[D];
}

/** What host tensors are allocated from. */
export interface HostRegion<A extends HostAllocation = HostAllocation> {
  readonly label: string;
  alloc(request: AllocationRequest): A;
  free(allocation: A): void;
}

export interface HostTensorOptions<D extends HostDType, S extends Shape> {
  readonly shape: S;
  readonly dtype: D;
  /** Names the tensor in errors and reports. */
  readonly label?: string;
  /** Power of two; the region's default, and at least the element's size, where absent. */
  readonly alignment?: number;
}

/** Arrays in arrays, as deep as the tensor has axes; a number for a scalar. */
export type NestedArray = number | readonly NestedArray[];

/** A region of any kind, and the lifetime of what is allocated from it. */
export type Home<L> = (HostRegion<never> | HostRegion) & MaybeBranded<L>;
