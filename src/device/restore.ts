/**
 * After a loss: the runtime goes on with another device, and every handle is good again. What a tensor
 * held comes back where it has a source on the host that is still true; where it has none, the tensor
 * says so until it is written.
 */

import { DeviceError } from "../host/errors.ts";
import type { MoorageError } from "../host/errors.ts";
import type { DeviceContext } from "./context.ts";
import type { BlockTable, DeviceAllocation, SourceReader } from "./memory/block-table.ts";
import type { DeviceHeap } from "./memory/device-heap.ts";

export interface RestoreResult {
  /** Tensors of the heap that have their elements again. */
  readonly restored: number;
  /** Those that have to be written before they are read, by label. */
  readonly lost: readonly string[];
}

/** One restore at a time, and another behind it where the device that it goes on with is lost in turn. */
export class Restoring {
  #running: Promise<RestoreResult> | null = null;
  #hasDevice = false;

  /** The running restore has its device: what remains is to refill tensors. */
  reconnected(): void {
    this.#hasDevice = true;
  }

  /** The restore that runs, where it still may serve; else one by `restore`. */
  next(isLost: boolean, restoreOnce: () => Promise<RestoreResult>): Promise<RestoreResult> {
    const running = this.#running;
    const isAgain = this.#hasDevice && isLost;
    if (running !== null && !isAgain) return running;
    this.#hasDevice = false;
    const begun = running === null ? restoreOnce() : running.catch(() => {}).then(restoreOnce);
    const next = begun.finally(() => {
      if (this.#running !== next) return;
      this.#running = null;
      this.#hasDevice = false;
    });
    this.#running = next;
    return next;
  }
}

/** Takes over another device, and puts back what has a source. The device before it must be lost. */
export async function restore(context: DeviceContext, device: GPUDevice): Promise<RestoreResult> {
  const { table, heap, pool, pinned } = context;
  const sources = new Map<DeviceAllocation, SourceReader>();
  const blocks = Array.from(table.live()).filter(({ region }) => region === heap);
  for (const block of blocks) {
    const source = table.sourceOf(block);
    if (source !== undefined) sources.set(block, source);
  }
  const lostSlabs = lostContents(context.label);
  table.observe(lostSlabs);
  pool.close(lostSlabs);
  pinned.lose();
  context.reconnect(device);
  const lost: string[] = [];
  let restored = 0;
  // All get their memory before anything waits: what a reader allocates must not take it.
  const placed = blocks.filter((block) => {
    // A listener may dispose those that come later, and this one.
    if (!block.isAlive) return false;
    const failure = readmitted(heap, block);
    if (!block.isAlive) return false;
    fail(table, block, failure ?? lostContents(block.label));
    if (failure !== null) lost.push(block.label);
    return failure === null;
  });
  // Arrays need not be kept for slabs that are there for certain.
  await context.stream.whenSubmitted(true);
  for (const block of placed) {
    const source = sources.get(block);
    const failure = source === undefined ? null : await refill(context, block, source);
    if (!block.isAlive) continue;
    if (failure !== null) fail(table, block, failure);
    if (table.failures.has(block.key)) lost.push(block.label);
    else restored++;
  }
  return { restored, lost };
}

/** Why a block has no memory again, if it has none: a listener that throws stops no other block. */
function readmitted(heap: DeviceHeap, block: DeviceAllocation): MoorageError | null {
  try {
    return heap.readmit(block);
  } catch (cause) {
    const { label } = block;
    return new DeviceError(
      "DEVICE_ERROR",
      `"${label}" was lost with its device, and a listener threw while it was to get memory again: write() it again`,
      { label, cause },
    );
  }
}

/** Who restores is told by the result: nothing more is said where a tensor ends unread. */
function fail(table: BlockTable, block: DeviceAllocation, failure: MoorageError): void {
  table.failures.set(block.key, failure);
  table.observe(failure);
}

async function refill(
  context: DeviceContext,
  block: DeviceAllocation,
  source: SourceReader,
): Promise<MoorageError | null> {
  const { label } = block;
  try {
    const data = await source();
    // Disposed meanwhile, or written: then that is its value.
    if (!block.isAlive || !context.table.failures.has(block.key)) return null;
    if (data.byteLength !== block.byteLength) {
      return new DeviceError(
        "DEVICE_LOST",
        `"${label}" was lost with its device, and its source gave ${data.byteLength} bytes instead of ${block.byteLength}`,
        { label },
      );
    }
    context.transfers.fromArray(data, block);
    context.table.setSource(block, source);
    return null;
  } catch (cause) {
    return new DeviceError(
      "DEVICE_LOST",
      `"${label}" was lost with its device, and its source failed: write() it again`,
      { label, cause },
    );
  }
}

function lostContents(label: string): MoorageError {
  return new DeviceError(
    "DEVICE_LOST",
    `"${label}" lost its elements with the device; write() it again, or give tensor() a source beforehand`,
    { label },
  );
}
