/**
 * Reads in a straight line. What a small read costs is mostly the steps on its way, each of them cold
 * where reads are seldom: so the usual read goes through as few as there can be, and asks the platform to
 * map before it does anything else:
 *
 *     a pooled buffer ─▶ copy, submit, mapAsync ─▶ (mapped) ─ taken ─▶ unmap ─▶ pooled again
 *
 * Whatever is not usual goes another way: see readbacks.ts.
 */

import { wordBytes } from "../../host/alignment.ts";
import { arrayOver, dtypeInfo } from "../../host/dtype.ts";
import type { ArrayOf, DType } from "../../host/dtype.ts";
import type { PinnedSlot } from "../../host/pinned/pinned-block.ts";
import type { AnyTensor } from "../executor.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import { readError } from "./read-error.ts";
import type { Staging } from "./staging.ts";

// GPUMapMode by value: WebGPU's globals may be absent.
const mapRead = 1;

export interface QuickReadParts {
  readonly stream: CommandStream;
  readonly staging: Staging;
  /** What is larger is not read at once. */
  readonly mostBytes: number;
  /** How everything else is read: gives `target`, or a new array. */
  readonly otherwise: <D extends DType>(
    tensor: AnyTensor<D>,
    target: ArrayOf[D] | null,
  ) => Promise<ArrayOf[D]>;
}

export class QuickReads {
  readonly #parts: QuickReadParts;

  constructor(parts: QuickReadParts) {
    this.#parts = parts;
  }

  /**
   * The elements of a contiguous tensor that starts on a word, as they are now: in `target`, which has
   * their dtype and count, or in a new array. O(elements). Rejects as {@link Tensor.data} does.
   */
  async read<D extends DType>(
    tensor: AnyTensor<D>,
    target: ArrayOf[D] | null,
  ): Promise<ArrayOf[D]> {
    const { stream, staging, mostBytes, otherwise } = this.#parts;
    const { dtype, layout } = tensor;
    const { bytes } = dtypeInfo(dtype);
    const byteLength = layout.count * bytes;
    const words = wordBytes(byteLength);
    let slot: PinnedSlot | null = null;
    let isMapped = false;
    staging.readingCount++;
    try {
      const { block } = tensor;
      if (byteLength <= mostBytes) slot = staging.lendSlot(words);
      if (slot !== null) {
        const { gpu } = gpuBuffer(slot.buffer);
        if (!stream.copies.submitToBuffer(block, layout.offset * bytes, gpu, words)) {
          staging.takeSlotBack(slot);
          slot = null;
        }
      }
      if (slot === null) return await otherwise(tensor, target);
      await slot.buffer.mapAsync(mapRead, words);
      isMapped = true;
      const { pipelines } = stream;
      if (!pipelines.isVerified) await pipelines.verify();
      return taken(slot.buffer.getMappedRange(words), dtype, layout.count, target);
    } catch (cause) {
      throw await readError(stream, tensor.label, cause);
    } finally {
      if (slot !== null) {
        if (isMapped) slot.buffer.unmap();
        else slot.state = "lost";
        staging.takeSlotBack(slot);
      }
      staging.ended();
    }
  }
}

/** The first elements of mapped memory, in `target` or in a new array. */
export function taken<D extends DType>(
  memory: ArrayBuffer,
  dtype: D,
  count: number,
  target: ArrayOf[D] | null,
): ArrayOf[D] {
  const array = arrayOver(dtype, memory, 0, count);
  // A copy of the range is not filled with zeros first, as a new array is.
  if (target === null) return arrayOver(dtype, memory.slice(0, array.byteLength), 0, count);
  target.set(array);
  return target;
}
