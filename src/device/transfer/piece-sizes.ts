/** How large the pieces of a transfer are, in a budget that others have a share of. */

import { wordBytes } from "../../host/alignment.ts";
import { KiB, MiB } from "../../host/units.ts";
import type { Staging } from "./staging.ts";

/** Buffers of a window that take turns: one is emptied while the others are copied to and mapped. */
export const turnCount = 4;

/** Up to this, a tensor is one piece. */
export function atOnceBytes(budgetBytes: number): number {
  return Math.min(2 * MiB, budgetBytes / 2);
}

const leastPieceBytes = 256;

/** The least that a window can have. */
export const leastWindowBytes = turnCount * leastPieceBytes;

/** Smaller pieces are made only where the budget itself is small: rather, more staging is waited for. */
function worthwhileBytes(budgetBytes: number): number {
  return Math.min(64 * KiB, budgetBytes / 16);
}

/** Small enough that a tensor has a few pieces, large enough that a submission for each costs little. */
export function pieceBytesOf(
  byteLength: number,
  staging: Staging,
  windowBytes: number | undefined,
): number {
  if (windowBytes !== undefined) {
    const bytes = windowPieceBytes(windowBytes, staging, leastPieceBytes);
    return Math.min(bytes, wordBytes(byteLength));
  }
  const { budgetBytes } = staging.pinned;
  const ready = Math.max(worthwhileBytes(budgetBytes), staging.availableBytes);
  if (byteLength <= Math.min(atOnceBytes(budgetBytes), ready)) return byteLength;
  const most = Math.min(budgetBytes / turnCount, ready);
  const share = Math.floor(most / leastPieceBytes) * leastPieceBytes;
  const wanted = ordinaryPieceBytes(byteLength);
  return Math.min(Math.max(leastPieceBytes, Math.min(wanted, share)), wordBytes(byteLength));
}

/**
 * Bytes of one of a window's pieces. Who takes or makes the bytes may transfer something else meanwhile: a
 * window has at most half of what there is, and the next one half of the rest.
 */
export function windowPieceBytes(
  windowBytes: number,
  { pinned, availableBytes }: Staging,
  granuleBytes: number,
): number {
  const share = Math.max(worthwhileBytes(pinned.budgetBytes), availableBytes / 2);
  const piece = Math.min(windowBytes, share) / turnCount;
  return Math.max(granuleBytes, Math.floor(piece / granuleBytes) * granuleBytes);
}

function ordinaryPieceBytes(byteLength: number): number {
  return byteLength > 8 * MiB ? 2 * MiB : MiB;
}
