/** Fewer axes for strided kernels: axes of one element go, neighbours that are one run merge. */

import type { Shape } from "../../host/layout.ts";

/** A shape, and the strides of each operand over it. */
export interface Coalesced {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
}

/** The same elements in the same order over as few axes as all operands allow. O(rank × operands). */
export function coalesce(shape: Shape, strides: readonly (readonly number[])[]): Coalesced {
  const extents: number[] = [];
  const steps: number[][] = strides.map(() => []);
  for (let axis = 0; axis < shape.length; axis++) {
    const extent = shape[axis]!;
    if (extent === 1) continue;
    const last = extents.length - 1;
    const merges =
      last >= 0 && strides.every((own, operand) => steps[operand]![last] === own[axis]! * extent);
    if (merges) {
      extents[last]! *= extent;
      strides.forEach((own, operand) => (steps[operand]![last] = own[axis]!));
    } else {
      extents.push(extent);
      strides.forEach((own, operand) => steps[operand]!.push(own[axis]!));
    }
  }
  if (extents.length === 0) {
    extents.push(1);
    for (const own of steps) own.push(0);
  }
  return { shape: extents, strides: steps };
}
