/**
 * Transfers between host and device. Uploads go from pinned memory by a buffer copy, from other
 * arrays through the queue; downloads come back through pooled readback buffers.
 */

import type { ArrayOf, DType } from "../host/dtype.ts";
import { arrayOver, dtypeInfo, newArray } from "../host/dtype.ts";
import { DeviceError, InvalidArgumentError, MoorageError } from "../host/errors.ts";
import { shapeText } from "../host/layout.ts";
import type { MappableBuffer, MappableSource, PinnedDirection } from "../host/pinned-block.ts";
import type { PinnedHeap } from "../host/pinned-heap.ts";
import type { PinnedTensor } from "../host/pinned-tensor.ts";
import { foreignHandle } from "../host/region.ts";
import type { AnyTensor } from "./executor.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";
import { bufferUsage } from "./memory/gpu-constants.ts";
import type { GpuMemory } from "./memory/gpu-memory.ts";
import type { CommandStream } from "./stream/command-stream.ts";

/** Pinned memory made of GPU buffers: what `host` knows only as something that can be mapped. */
export class GpuMappableSource implements MappableSource {
  readonly #memory: GpuMemory;
  readonly #stream: CommandStream;

  constructor(memory: GpuMemory, stream: CommandStream) {
    this.#memory = memory;
    this.#stream = stream;
  }

  create(byteLength: number, direction: PinnedDirection, label: string): MappableBuffer {
    this.#stream.requireDevice();
    const isUpload = direction === "upload";
    const managed = this.#memory.create({
      size: byteLength,
      usage: isUpload
        ? bufferUsage.mapWrite | bufferUsage.copySource
        : bufferUsage.mapRead | bufferUsage.copyTarget,
      mappedAtCreation: isUpload,
      label,
    });
    return new MappableGpuBuffer(managed.buffer, byteLength, () => managed.destroy());
  }

  whenSubmitted(urgent: boolean): Promise<void> {
    return this.#stream.whenSubmitted(urgent);
  }
}

class MappableGpuBuffer implements MappableBuffer {
  readonly gpu: GPUBuffer;
  readonly size: number;
  readonly destroy: () => void;

  constructor(gpu: GPUBuffer, size: number, destroy: () => void) {
    this.gpu = gpu;
    this.size = size;
    this.destroy = destroy;
  }

  mapAsync(mode: number): Promise<unknown> {
    return this.gpu.mapAsync(mode);
  }

  getMappedRange(): ArrayBuffer {
    return this.gpu.getMappedRange();
  }

  unmap(): void {
    this.gpu.unmap();
  }
}

function gpuBuffer(buffer: MappableBuffer): GPUBuffer {
  return (buffer as MappableGpuBuffer).gpu;
}

export class Transfers {
  readonly #stream: CommandStream;
  readonly #pinned: PinnedHeap;
  readonly #reading = new Set<Promise<void>>();

  constructor(stream: CommandStream, pinned: PinnedHeap) {
    this.#stream = stream;
    this.#pinned = pinned;
  }

  /**
   * Copies a pinned tensor to a block. Its arrays are detached at once; it can be written again
   * after `await source.mapped()`.
   */
  fromPinned(source: PinnedTensor, target: DeviceAllocation): void {
    this.#stream.requireDevice();
    const buffer = gpuBuffer(source.block.unmap());
    this.#stream.copyFromBuffer(buffer, target, wordBytes(source.byteLength));
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

  /** Copies an array to a block through the queue; the array may be changed afterwards. */
  fromArray(data: ArrayBufferView, target: DeviceAllocation): void {
    const bytes = unshared(data);
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    if (whole === bytes.byteLength) {
      this.#stream.write(target, bytes);
      return;
    }
    // The queue writes whole words; the last one is the tensor's own, padded.
    const padded = new Uint8Array(whole + 4);
    padded.set(bytes);
    this.#stream.write(target, padded);
  }

  /**
   * The elements of a contiguous tensor that starts on a word, through a pooled readback buffer. The
   * memory is read in stream order: what is recorded later does not show.
   */
  read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    const reading = this.#read(tensor);
    const ended = reading.then(
      () => void this.#reading.delete(ended),
      () => void this.#reading.delete(ended),
    );
    this.#reading.add(ended);
    return reading;
  }

  /** Settles when nothing is being read. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading);
  }

  async #read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    const { dtype, layout, label, block } = tensor;
    const elementBytes = dtypeInfo(dtype).bytes;
    const byteLength = layout.count * elementBytes;
    const pinned = this.#pinned.alloc({
      byteLength,
      direction: "readback",
      label: `read ${label}`,
    });
    try {
      const ticket = this.#stream.copyToBuffer(
        block,
        layout.offset * elementBytes,
        gpuBuffer(pinned.receive()),
        wordBytes(byteLength),
      );
      await this.#stream.whenSubmitted(true);
      if (ticket.failure !== null) throw ticket.failure;
      await pinned.map();
      await this.#stream.pipelines.verify();
      const data = newArray(dtype, layout.count);
      data.set(arrayOver(dtype, pinned.memory(), 0, layout.count));
      return data;
    } catch (cause) {
      throw this.#readError(label, cause);
    } finally {
      this.#pinned.free(pinned);
    }
  }

  #readError(label: string, cause: unknown): MoorageError {
    try {
      this.#stream.requireDevice();
    } catch (lost) {
      if (lost instanceof MoorageError) return lost;
    }
    if (cause instanceof MoorageError) return cause;
    return new DeviceError("DEVICE_ERROR", `"${label}" could not be read back`, { label, cause });
  }
}

/** Throws `INVALID_ARGUMENT` unless an array has as many elements as its tensor. */
export function requireCount(
  length: number,
  count: number,
  shape: readonly number[],
  label: string,
): void {
  if (length === count) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `"${label}" has shape ${shapeText(shape)}, which is ${count} elements, but was given ${length}; fix the shape or the array`,
    { label },
  );
}

function wordBytes(byteLength: number): number {
  return Math.ceil(byteLength / 4) * 4;
}

/** The bytes of a view; copied where the platform refuses to read shared memory. */
function unshared(data: ArrayBufferView): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = data;
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer, byteOffset, byteLength);
  // Dawn in Node rejects views over a SharedArrayBuffer; browsers would accept them.
  const copy = new Uint8Array(byteLength);
  copy.set(new Uint8Array(buffer, byteOffset, byteLength));
  return copy;
}
