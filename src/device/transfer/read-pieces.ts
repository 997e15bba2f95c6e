/**
 * Large reads, piece by piece: the host takes one piece out of its mapping while the device copies the
 * next. With staging for all pieces they are recorded at once; with less, through a window that turns:
 *
 *     device ─▶ [piece 0] mapped ─▶ taken ─▶ staging is free again
 *            ─▶ [piece 1] in flight
 */

import type { PinnedBlock } from "../../host/pinned-block.ts";
import { requireAlive } from "../../host/region.ts";
import { MiB } from "../../host/units.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import type { CopyTicket } from "../stream/held-work.ts";
import type { ReadStaging } from "./read-staging.ts";
import type { TransferControl } from "./transfer.ts";
import { wordBytes } from "./transfers.ts";

export interface PieceReadParts {
  readonly stream: CommandStream;
  readonly staging: ReadStaging;
}

/** A range of a block, from a word on. */
export interface PieceSource {
  readonly block: DeviceAllocation;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly label: string;
}

/**
 * Takes the bytes from `byteOffset` of what is read on, in mapped memory that ends when the function has
 * returned, or the promise that it returned has settled.
 */
export type ByteConsumer = (piece: Uint8Array<ArrayBuffer>, byteOffset: number) => unknown;

/** Pieces under way at one time: one is taken while the others are copied and mapped. */
const windowPieces = 4;

const leastPieceBytes = 256;

/** The least that a window can have. */
export const leastWindowBytes = windowPieces * leastPieceBytes;

/** Small enough that a tensor has a few pieces, large enough that a submission for each costs little. */
function pieceBytesOf(byteLength: number, { pinned }: ReadStaging, windowBytes?: number): number {
  const wanted =
    windowBytes === undefined
      ? byteLength > 16 * MiB
        ? 4 * MiB
        : MiB
      : Math.floor(windowBytes / windowPieces / leastPieceBytes) * leastPieceBytes;
  // Who takes the bytes may read something else meanwhile: half is left over for that.
  const share = pinned.budgetBytes / (windowBytes === undefined ? 1 : 2) / windowPieces;
  const most = Math.floor(share / leastPieceBytes) * leastPieceBytes;
  return Math.max(leastPieceBytes, Math.min(wanted, most));
}

/** Staging for all pieces; `null` where there is not enough. */
export function slotsForAll(
  staging: ReadStaging,
  { byteLength, label }: PieceSource,
): PinnedBlock[] | null {
  const pieceBytes = pieceBytesOf(byteLength, staging);
  const slots: PinnedBlock[] = [];
  while (slots.length * pieceBytes < byteLength) {
    const slot = staging.take(pieceBytes, label);
    if (slot === null) {
      for (const other of slots) staging.release(other);
      return null;
    }
    slots.push(slot);
  }
  return slots;
}

/** A piece whose copy is recorded. */
interface Under {
  readonly slot: PinnedBlock;
  readonly ticket: CopyTicket;
  readonly mapping: Promise<void>;
  readonly offset: number;
  readonly length: number;
}

function record(
  { stream }: PieceReadParts,
  source: PieceSource,
  slot: PinnedBlock,
  offset: number,
): Under {
  const length = Math.min(slot.byteLength, source.byteLength - offset);
  const ticket = stream.copies.toBuffer(
    source.block,
    source.byteOffset + offset,
    gpuBuffer(slot.receive()),
    0,
    wordBytes(length),
  );
  const mapping = slot.map();
  // Where an earlier one fails, nobody listens to this one.
  mapping.catch(() => {});
  return { slot, ticket, mapping, offset, length };
}

async function taken(
  { stream }: PieceReadParts,
  { slot, ticket, mapping, offset, length }: Under,
  take: ByteConsumer,
): Promise<void> {
  await mapping;
  if (ticket.failure !== null) throw ticket.failure;
  if (!stream.pipelines.isVerified) await stream.pipelines.verify();
  const use = slot.use();
  try {
    const result = take(use.bytes().subarray(0, length), offset);
    if (result instanceof Promise) await result;
  } finally {
    use.dispose();
  }
}

/** With staging for all pieces, which ends here: the bytes are those of the time of the call. */
export async function readAtOnce(
  parts: PieceReadParts,
  source: PieceSource,
  slots: readonly PinnedBlock[],
  take: ByteConsumer,
  control?: TransferControl,
): Promise<void> {
  const left = [...slots];
  try {
    const pieceBytes = slots[0]!.byteLength;
    const pieces = slots.map((slot, index) => record(parts, source, slot, index * pieceBytes));
    control?.submitted(source.byteLength);
    for (const piece of pieces) {
      await taken(parts, piece, take);
      parts.staging.release(left.shift()!);
    }
  } finally {
    for (const slot of left) parts.staging.release(slot);
  }
}

/** With as much staging as there is: each piece has the bytes of the time when it is copied. */
export async function readThroughWindow(
  parts: PieceReadParts,
  source: PieceSource,
  take: ByteConsumer,
  control?: TransferControl,
  windowBytes?: number,
): Promise<void> {
  const { staging } = parts;
  const { byteLength, label } = source;
  const pieceBytes = Math.min(
    pieceBytesOf(byteLength, staging, windowBytes),
    wordBytes(byteLength),
  );
  const underWay: Under[] = [];
  const finishOldest = async (): Promise<void> => {
    const piece = underWay[0]!;
    await taken(parts, piece, take);
    underWay.shift();
    staging.release(piece.slot);
  };
  try {
    for (let offset = 0; offset < byteLength;) {
      control?.signal.throwIfAborted();
      const slot =
        underWay.length < windowPieces
          ? (staging.take(pieceBytes, label) ??
            (underWay.length === 0 ? await staging.room(pieceBytes, label, control?.signal) : null))
          : null;
      if (slot === null) {
        await finishOldest();
        continue;
      }
      try {
        control?.signal.throwIfAborted();
        requireAlive(source.block, source.block.region);
        underWay.push(record(parts, source, slot, offset));
      } catch (error) {
        staging.release(slot);
        throw error;
      }
      offset += pieceBytes;
      control?.submitted(Math.min(offset, byteLength));
    }
    while (underWay.length > 0) await finishOldest();
  } finally {
    for (const { slot } of underWay) staging.release(slot);
  }
}
