/** Uploads: from pinned memory by a buffer copy, from other arrays through the queue. */

import { wordBytes } from "../../host/alignment.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import { shapeText } from "../../host/layout.ts";
import type { PinnedBlock, PinnedRequest } from "../../host/pinned/pinned-block.ts";
import type { PinnedHeap } from "../../host/pinned/pinned-heap.ts";
import type { PinnedTensor } from "../../host/pinned/pinned-tensor.ts";
import { foreignHandle } from "../../host/region.ts";
import type { DeviceAllocation } from "../memory/block-table.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import type { CommandStream } from "../stream/command-stream.ts";
import type { CopyTicket } from "../stream/held-work.ts";
import type { UploadBelt } from "./upload-belt.ts";
import type { UploadWay, UploadWays } from "./upload-ways.ts";

export class Transfers {
  readonly #stream: CommandStream;
  readonly #pinned: PinnedHeap;
  readonly #belt: UploadBelt;
  readonly #ways: UploadWays;

  constructor(stream: CommandStream, pinned: PinnedHeap, belt: UploadBelt, ways: UploadWays) {
    this.#stream = stream;
    this.#pinned = pinned;
    this.#belt = belt;
    this.#ways = ways;
  }

  /**
   * Copies a pinned tensor to a block. Its arrays are detached at once; it can be written again
   * after `await source.mapped()`.
   */
  fromPinned(source: PinnedTensor, target: DeviceAllocation): void {
    this.#stream.requireDevice();
    const buffer = gpuBuffer(source.block.unmap());
    this.#stream.copies.fromBuffer(buffer, target, wordBytes(source.byteLength));
  }

  /** Copies the start of a pinned block behind a block's start. Offset and length in whole words. */
  fromPinnedBlock(
    source: PinnedBlock,
    target: DeviceAllocation,
    byteOffset: number,
    byteLength: number,
    isMending?: boolean,
  ): CopyTicket {
    this.#stream.requireDevice();
    const buffer = gpuBuffer(source.unmap());
    const bytes = wordBytes(byteLength);
    return this.#stream.copies.fromBuffer(buffer, target, bytes, byteOffset, 0, isMending);
  }

  /** Throws `FOREIGN_HANDLE` or `NOT_MAPPED` for a pinned tensor that cannot be uploaded now. */
  requireOwn(source: PinnedTensor): void {
    if (source.block.heap !== this.#pinned)
      throw foreignHandle(source.label, "this runtime's pinned heap");
    if (source.block.direction !== "upload") {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${source.label}" is pinned for readback, and the GPU cannot copy from it; make it with direction "upload"`,
        { label: source.label },
      );
    }
    source.block.memory();
  }

  /**
   * Copies an array to a block, the way that is fastest for its size; the array may be changed
   * afterwards. Behind the block's start, offset and length are multiples of 4.
   */
  fromArray(data: ArrayBufferView, target: DeviceAllocation, byteOffset = 0): void {
    // Nearly always, and then the look at the plan is most of what it costs.
    if (this.#ways.isQueueOnly) this.#throughQueue(data, target, byteOffset);
    else this.fromArrayBy(this.#ways.wayFor(data.byteLength), data, target, byteOffset);
  }

  /** The same a certain way; through the queue where that finds no staging. */
  fromArrayBy(
    way: UploadWay,
    data: ArrayBufferView,
    target: DeviceAllocation,
    byteOffset = 0,
  ): void {
    if (way !== "queue" && this.#throughStaging(way, data, target, byteOffset)) return;
    this.#throughQueue(data, target, byteOffset);
  }

  /** By a copy from mapped memory. False, and nothing has happened, where there is no such memory. */
  #throughStaging(
    way: "belt" | "fresh",
    { buffer, byteOffset: start, byteLength }: ArrayBufferView,
    target: DeviceAllocation,
    byteOffset: number,
  ): boolean {
    this.#stream.requireDevice();
    const bytes = new Uint8Array(buffer, start, byteLength);
    if (way === "belt") {
      return this.#belt.fill(target, byteOffset, byteLength, (memory, at) => {
        new Uint8Array(memory, at, byteLength).set(bytes);
      });
    }
    const request: PinnedRequest = { byteLength, direction: "upload", label: target.label };
    const taken = this.#pinned.tryAlloc(request);
    if (!taken.ok) return false;
    new Uint8Array(taken.value.memory()).set(bytes);
    this.fromPinnedBlock(taken.value, target, byteOffset, byteLength);
    this.#pinned.free(taken.value);
    return true;
  }

  #throughQueue(data: ArrayBufferView, target: DeviceAllocation, byteOffset: number): void {
    const { buffer, byteLength } = data;
    if (byteLength % 4 === 0 && buffer instanceof ArrayBuffer)
      this.#stream.copies.write(target, buffer, data.byteOffset, byteLength, byteOffset);
    else this.#padded(data, target, byteOffset);
  }

  #padded(data: ArrayBufferView, target: DeviceAllocation, byteOffset: number): void {
    const { buffer, byteLength } = data;
    const tail = byteLength % 4;
    // The queue writes whole words; the last one is the tensor's own, padded. Dawn in Node refuses
    // memory that is shared, which browsers accept: it takes a copy.
    const padded = new Uint8Array(byteLength - tail + (tail === 0 ? 0 : 4));
    padded.set(new Uint8Array(buffer, data.byteOffset, byteLength));
    this.#stream.copies.write(target, padded.buffer, 0, padded.byteLength, byteOffset);
  }
}

/** Throws `INVALID_ARGUMENT` unless an array has as many elements as its tensor. */
export function requireCount(
  length: number,
  count: number,
  shape: readonly number[],
  label: string,
): void {
  if (length !== count) throw wrongCount(length, count, shape, label);
}

function wrongCount(
  length: number,
  count: number,
  shape: readonly number[],
  label: string,
): InvalidArgumentError {
  return new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `"${label}" has shape ${shapeText(shape)}, which is ${count} elements, but was given ${length}; fix the shape or the array`,
    { label },
  );
}
