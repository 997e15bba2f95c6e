/**
 * Copies in the order of the recording, and what may overtake it: an upload is hoisted before the open
 * batch, and `writeBuffer` goes around it, where no byte of the target is read or written by the batch.
 */

import type { MoorageError } from "../../host/errors.ts";
import { requireAlive } from "../../host/region.ts";
import type { RangeMove } from "../memory/block-mover.ts";
import { lostNode } from "../memory/block-table.ts";
import type { BlockKey, BlockTable, DeviceAllocation } from "../memory/block-table.ts";
import type { MappableGpuBuffer } from "../memory/gpu-mappable.ts";
import type { SlabPool } from "../memory/slab-pool.ts";
import type { Slab } from "../memory/slab.ts";
import type { CopyTicket, HeldWork } from "./held-work.ts";
import type { Recorder } from "./recorder.ts";

export interface CopyParts {
  readonly device: GPUDevice;
  readonly table: BlockTable;
  readonly pool: SlabPool;
  readonly recorder: Recorder;
  readonly held: HeldWork;
  /** Throws where no work is taken any more. */
  readonly requireDevice: () => void;
  /** Why the device is gone. */
  readonly lost: () => MoorageError | null;
  readonly submit: () => void;
}

/** Bytes that lie side by side in two blocks, by their offsets there. */
export interface ByteRun {
  readonly from: number;
  readonly to: number;
  readonly byteLength: number;
}

/** No block has it: a write that mends none, and a read. */
const noKey: BlockKey = -1;
const readKey: BlockKey = -2;

export class Copies {
  readonly #parts: CopyParts;
  // What an upload touches, at hand.
  readonly #queue: GPUQueue;
  readonly #table: BlockTable;
  readonly #pool: SlabPool;
  readonly #recorder: Recorder;
  readonly #held: HeldWork;

  constructor(parts: CopyParts) {
    this.#parts = parts;
    this.#queue = parts.device.queue;
    this.#table = parts.table;
    this.#pool = parts.pool;
    this.#recorder = parts.recorder;
    this.#held = parts.held;
  }

  /** Copies bytes of a buffer behind a block's start. Offsets and length are multiples of 4. */
  fromBuffer(
    source: MappableGpuBuffer,
    target: DeviceAllocation,
    byteLength: number,
    byteOffset = 0,
    sourceOffset = 0,
    isMending = byteOffset === 0 && byteLength >= target.byteLength,
  ): CopyTicket {
    this.#parts.requireDevice();
    this.#willChange(target);
    const mended = isMending ? target.key : noKey;
    return this.#copy(target, mended, source, (slab, offset) => {
      const start = offset + byteOffset;
      const encoder = this.#uploadEncoder(slab, start, byteLength);
      encoder.copyBufferToBuffer(source.gpu, sourceOffset, slab.buffer, start, byteLength);
    });
  }

  /** Copies bytes of a block to a buffer. Offsets and length are multiples of 4. */
  toBuffer(
    source: DeviceAllocation,
    byteOffset: number,
    target: MappableGpuBuffer,
    targetOffset: number,
    byteLength: number,
  ): CopyTicket {
    const { requireDevice, recorder } = this.#parts;
    requireDevice();
    return this.#copy(source, readKey, target, (slab, offset, extent) => {
      slab.use(offset, extent, recorder.ordered);
      recorder
        .copies()
        .copyBufferToBuffer(slab.buffer, offset + byteOffset, target.gpu, targetOffset, byteLength);
    });
  }

  /**
   * Copies bytes of a block to the start of a buffer, behind what is recorded, and submits all of it.
   * False, and nothing has happened, where something waits or has failed: {@link toBuffer} says what.
   */
  submitToBuffer(
    source: DeviceAllocation,
    byteOffset: number,
    target: GPUBuffer,
    byteLength: number,
  ): boolean {
    const { table, pool, recorder, held } = this.#parts;
    this.#parts.requireDevice();
    const { row } = source;
    if (held.isHolding || table.failures.size > 0 || table.node[row] === lostNode) return false;
    const slab = pool.slab(table.slab[row]!);
    if (slab.failure !== null) return false;
    const start = table.offset[row]! + byteOffset;
    if (recorder.hasWork) {
      // Nothing else joins this batch: its last use of the slab need not be noted.
      recorder.copies().copyBufferToBuffer(slab.buffer, start, target, 0, byteLength);
      this.#parts.submit();
    } else {
      recorder.submitCopy(slab.buffer, start, target, 0, byteLength);
    }
    return true;
  }

  /**
   * {@link fromBuffer}, straight: false, and nothing has happened, where something waits or has failed. A
   * source of its own never fails.
   */
  recordFromBuffer(
    source: GPUBuffer,
    sourceOffset: number,
    target: DeviceAllocation,
    byteOffset: number,
    byteLength: number,
  ): boolean {
    this.#parts.requireDevice();
    this.#willChange(target);
    const { row } = target;
    const table = this.#table;
    if (this.#held.isHolding || table.failures.size > 0 || table.node[row] === lostNode)
      return false;
    const slab = this.#pool.slab(table.slab[row]!);
    if (slab.failure !== null) return false;
    const start = table.offset[row]! + byteOffset;
    const encoder = this.#uploadEncoder(slab, start, byteLength);
    encoder.copyBufferToBuffer(source, sourceOffset, slab.buffer, start, byteLength);
    return true;
  }

  /**
   * Before anything else is looked at: who reads the target bit by bit takes the rest, which may submit,
   * make what follows wait, move blocks to make room, or call a listener who disposes the target.
   */
  #willChange(target: DeviceAllocation): void {
    const hasReaders = this.#table.hasReaders;
    this.#table.willChange(target.key);
    if (hasReaders) requireAlive(target, target.region);
  }

  /** Before the open batch, unless work that is in order there touches the range. */
  #uploadEncoder(slab: Slab, start: number, byteLength: number): GPUCommandEncoder {
    const recorder = this.#recorder;
    const canHoist = !slab.isUsedSince(start, byteLength, recorder.ordered);
    slab.use(start, byteLength, canHoist ? recorder.batch : recorder.ordered);
    return canHoist ? recorder.hoistedCopies() : recorder.copies();
  }

  /**
   * Copies the start of a buffer behind a block's start, and submits that: before what is recorded, where
   * it may overtake it. False, and nothing has happened, where something waits or has failed: then
   * {@link fromBuffer} records it.
   */
  submitFromBuffer(
    source: GPUBuffer,
    target: DeviceAllocation,
    byteOffset: number,
    byteLength: number,
  ): boolean {
    this.#parts.requireDevice();
    this.#willChange(target);
    const { row } = target;
    const table = this.#table;
    if (this.#held.isHolding || table.failures.size > 0 || table.node[row] === lostNode)
      return false;
    const slab = this.#pool.slab(table.slab[row]!);
    if (slab.failure !== null) return false;
    const start = table.offset[row]! + byteOffset;
    if (slab.isUsedSince(start, byteLength, this.#recorder.batch)) this.#parts.submit();
    this.#recorder.submitCopy(source, 0, slab.buffer, start, byteLength);
    return true;
  }

  #copy(
    block: DeviceAllocation,
    mended: BlockKey,
    staging: MappableGpuBuffer,
    encode: (slab: Slab, offset: number, extent: number) => void,
  ): CopyTicket {
    const { table, pool, lost } = this.#parts;
    const { key, row } = block;
    const isUpload = mended !== readKey;
    const ticket: CopyTicket = { failure: null };
    // A slab that was refused may have a successor with its index: asked now, while the row is ours.
    if (table.node[row] === lostNode) {
      ticket.failure = table.failures.get(key) ?? null;
      if (ticket.failure !== null) table.observe(ticket.failure);
      return ticket;
    }
    const slab = pool.slab(table.slab[row]!);
    const offset = table.offset[row]!;
    const extent = table.extent[row]!;
    this.#whenFree(() => {
      // Where the block is written whole, what failed before does not matter any more.
      if (table.failures.size > 0 && slab.failure === null) table.failures.delete(mended);
      ticket.failure = lost() ?? table.failures.get(key) ?? slab.failure ?? staging.failure;
      if (ticket.failure === null) {
        encode(slab, offset, extent);
        return;
      }
      // What was to be written is not there, whoever looks.
      if (isUpload) table.failures.set(key, ticket.failure);
      else table.observe(ticket.failure);
    });
    return ticket;
  }

  /**
   * Copies runs of bytes from one block to another, or clears them where there is no other, in stream
   * order. Offsets and lengths are multiples of 4. O(runs). Whether it did: WebGPU copies within no single
   * buffer, and then nothing is recorded.
   */
  between(
    source: DeviceAllocation | null,
    target: DeviceAllocation,
    runs: readonly ByteRun[],
  ): boolean {
    const { requireDevice, table, pool, lost } = this.#parts;
    requireDevice();
    this.#willChange(target);
    const place = this.#placeOf(target);
    const origin = source === null ? null : this.#placeOf(source);
    // What has no place any more has failed: a dispatch hands that on.
    if (place === null || (source !== null && origin === null)) return false;
    const slab = pool.slab(place.slab);
    const from = origin === null ? null : pool.slab(origin.slab);
    // A wrapped buffer may be there twice.
    if (slab.buffer === from?.buffer) return false;
    const keys = source === null ? [target.key] : [source.key, target.key];
    this.#whenFree(() => {
      const failure =
        lost() ??
        keys.map((key) => table.failures.get(key)).find((known) => known !== undefined) ??
        slab.failure ??
        from?.failure ??
        null;
      if (failure !== null) {
        table.failures.set(target.key, failure);
        return;
      }
      for (const run of runs) this.#encodeRun(slab, place.offset, from, origin?.offset ?? 0, run);
    });
    return true;
  }

  #placeOf({ row }: DeviceAllocation): { readonly slab: number; readonly offset: number } | null {
    const { table } = this.#parts;
    if (table.node[row] === lostNode) return null;
    return { slab: table.slab[row]!, offset: table.offset[row]! };
  }

  #encodeRun(to: Slab, toStart: number, from: Slab | null, fromStart: number, run: ByteRun): void {
    const { recorder } = this.#parts;
    const offset = toStart + run.to;
    to.use(offset, run.byteLength, recorder.ordered);
    if (from === null) {
      recorder.copies().clearBuffer(to.buffer, offset, run.byteLength);
      return;
    }
    const start = fromStart + run.from;
    from.use(start, run.byteLength, recorder.ordered);
    recorder.copies().copyBufferToBuffer(from.buffer, start, to.buffer, offset, run.byteLength);
  }

  /** Copies a range of one slab to another, in stream order. Offsets and length are multiples of 4. */
  readonly moveRange: RangeMove = (from, fromOffset, to, toOffset, byteLength) => {
    const { recorder, lost, held } = this.#parts;
    const action = (): void => {
      if (lost() !== null) return;
      from.use(fromOffset, byteLength, recorder.ordered);
      to.use(toOffset, byteLength, recorder.ordered);
      recorder
        .copies()
        .copyBufferToBuffer(from.buffer, fromOffset, to.buffer, toOffset, byteLength);
    };
    // Both slabs exist: a slab that is waited for is neither of them.
    if (held.hasWork) held.push(action);
    else action();
  };

  /**
   * Writes bytes of `data` behind a block's start through the queue. `writeBuffer` overtakes the open
   * batch, so the batch is submitted first if it touches the same memory. Lengths are multiples of 4.
   */
  write(
    target: DeviceAllocation,
    data: ArrayBuffer,
    dataOffset: number,
    byteLength: number,
    byteOffset: number,
  ): void {
    this.#parts.requireDevice();
    this.#willChange(target);
    const table = this.#table;
    const { row, key } = target;
    // A slab that was refused may have a successor with its index: asked now, while the row is ours.
    if (table.node[row] === lostNode) return;
    const slab = this.#pool.slab(table.slab[row]!);
    const offset = table.offset[row]! + byteOffset;
    const isMending = byteOffset === 0 && byteLength >= target.byteLength;
    if (!this.#held.isHolding)
      this.#write(slab, offset, isMending ? key : noKey, data, dataOffset, byteLength);
    else this.#writeLater(slab, offset, isMending ? key : noKey, data, dataOffset, byteLength);
  }

  /** Apart from {@link write}: a function that holds a closure pays for it at each call, used or not. */
  #writeLater(
    slab: Slab,
    offset: number,
    mended: BlockKey,
    data: ArrayBuffer,
    dataOffset: number,
    byteLength: number,
  ): void {
    // Held work runs later: by then the caller may have changed its array.
    const bytes = data.slice(dataOffset, dataOffset + byteLength);
    this.#held.push(() => this.#write(slab, offset, mended, bytes, 0, byteLength));
  }

  #write(
    slab: Slab,
    offset: number,
    mended: BlockKey,
    data: ArrayBuffer,
    dataOffset: number,
    byteLength: number,
  ): void {
    if (this.#parts.lost() !== null || slab.failure !== null) return;
    const { failures } = this.#table;
    if (failures.size > 0) failures.delete(mended);
    if (slab.isUsedSince(offset, byteLength, this.#recorder.batch)) this.#parts.submit();
    // Named by its buffer, an array crosses to the platform sooner than as a view, and soonest where it is
    // all of it: each argument costs a twentieth of a microsecond in Dawn's binding.
    if (dataOffset === 0 && byteLength === data.byteLength)
      this.#queue.writeBuffer(slab.buffer, offset, data);
    else this.#queue.writeBuffer(slab.buffer, offset, data, dataOffset, byteLength);
  }

  #whenFree(action: () => void): void {
    const { held } = this.#parts;
    if (held.isHolding) held.push(action);
    else action();
  }
}
