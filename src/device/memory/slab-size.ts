/** How large a new slab is: more than is needed, where memory is plenty and the pool is not loose. */

/** Reserved over used bytes beyond which memory is moved together before it grows. */
export const looseness = 1.2;

export interface SlabSizeInput {
  /** Bytes of the block, in whole granules. */
  readonly needed: number;
  /** What was asked for by somebody who knows. */
  readonly preferredBytes: number | undefined;
  /** Bytes of an ordinary slab. */
  readonly slabBytes: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  /** What slabs could still be made of. */
  readonly growableBytes: number;
  readonly budgetBytes: number;
  readonly maxSlabBytes: number;
  readonly granuleBytes: number;
}

/**
 * The last part of the budget: its slabs have the size that is asked for, so that one that is empty
 * leaves room for one of another size. Of a budget of a few slabs, whole slabs are the better part.
 */
export function spareBytes(budgetBytes: number, slabBytes: number): number {
  return budgetBytes < 16 * slabBytes ? 0 : 2 * slabBytes;
}

/** Bytes of a new slab, in whole granules; at least what is needed. */
export function slabSize(input: SlabSizeInput): number {
  const { needed, slabBytes, reservedBytes, growableBytes, maxSlabBytes, granuleBytes } = input;
  // Not so much more that the pool would be loose at once.
  const tight = looseness * (input.usedBytes + needed) - reservedBytes;
  const roomy = Math.min(reservedBytes / 8, tight);
  // Programs ask for the same sizes again: of those, no rest is left at the end.
  const whole = Math.floor(roomy / needed) * needed;
  const wanted = input.preferredBytes ?? Math.max(slabBytes, whole);
  const isNearEnd = wanted > growableBytes - spareBytes(input.budgetBytes, slabBytes);
  const preferred = Math.max(needed, isNearEnd ? slabBytes / 8 : wanted);
  const most = Math.min(preferred, maxSlabBytes, growableBytes);
  return Math.max(needed, Math.floor(most / granuleBytes) * granuleBytes);
}
