/**
 * Small models of how other libraries hold device memory, each written from what its library does and
 * can be seen to do; the constants are theirs. A model has the policy and nothing else: no tensors, no
 * bookkeeping for users, no uniform buffers. So a model's time is less than its library's, and its
 * bytes are those of the tensors alone.
 */

import type { Allocator, AllocatorStats } from "./allocator.ts";
import type { CountedBuffers, PooledBuffer } from "./buffers.ts";

const MiB = 2 ** 20;

/** What the policies have in common: a size is rounded, a free buffer of that size is looked for, or one is made. */
export abstract class Policy implements Allocator<PooledBuffer> {
  abstract readonly name: string;
  protected readonly buffers: CountedBuffers;
  #liveBytes = 0;
  #cacheHits = 0;

  constructor(buffers: CountedBuffers) {
    this.buffers = buffers;
  }

  allocate(bytes: number, label: string): PooledBuffer {
    const size = this.sizeOf(bytes);
    let buffer = this.reuse(size);
    if (buffer === undefined) buffer = this.buffers.create(size, label);
    else this.#cacheHits++;
    buffer.requestedBytes = bytes;
    this.#liveBytes += bytes;
    return buffer;
  }

  free(buffer: PooledBuffer): void {
    this.#liveBytes -= buffer.requestedBytes;
    this.release(buffer);
  }

  step(): void {}

  /** Destroys what is kept, at the very end. */
  close(): void {}

  settle(): Promise<void> | undefined {
    return this.buffers.settle();
  }

  stats(): AllocatorStats {
    const { reservedBytes, peakReservedBytes, createdCount, destroyedCount } = this.buffers;
    return {
      reservedBytes,
      peakReservedBytes,
      liveBytes: this.#liveBytes,
      bufferCreates: createdCount,
      bufferDestroys: destroyedCount,
      cacheHits: this.#cacheHits,
    };
  }

  /** WebGPU copies and clears whole words. */
  protected sizeOf(bytes: number): number {
    return Math.ceil(bytes / 4) * 4;
  }

  protected abstract reuse(size: number): PooledBuffer | undefined;
  protected abstract release(buffer: PooledBuffer): void;
}

/** No policy: a buffer for each allocation, destroyed when it is freed. */
export class BareBuffers extends Policy {
  readonly name = "bare";

  protected reuse(): undefined {
    return undefined;
  }

  protected release(buffer: PooledBuffer): void {
    this.buffers.destroy(buffer);
  }
}

/** What the pools have in common: free buffers by their exact size, the last one freed on top. */
abstract class Pool extends Policy {
  protected readonly kept = new Map<number, PooledBuffer[]>();
  /** Freed, and not to be used before the next step. */
  protected readonly pending: PooledBuffer[] = [];

  override step(): void {
    for (const buffer of this.pending) this.keep(buffer);
    this.pending.length = 0;
  }

  override close(): void {
    for (const buffer of [...this.pending, ...this.kept.values()].flat())
      this.buffers.destroy(buffer);
    this.pending.length = 0;
    this.kept.clear();
  }

  protected reuse(size: number): PooledBuffer | undefined {
    return this.kept.get(size)?.pop();
  }

  protected release(buffer: PooledBuffer): void {
    this.pending.push(buffer);
  }

  protected keep(buffer: PooledBuffer): void {
    const same = this.kept.get(buffer.byteLength);
    if (same === undefined) this.kept.set(buffer.byteLength, [buffer]);
    else same.push(buffer);
  }

  protected keptCount(byteLength: number): number {
    return this.kept.get(byteLength)?.length ?? 0;
  }
}

/**
 * As the WebGPU backend of TensorFlow.js 4.22: a freed buffer is kept for the next tensor of exactly
 * its size, and nothing is ever given back while the backend lives. A tensor that the commands being
 * recorded still use is freed when they are submitted; in a trace a block is freed right after its
 * last use, so that is taken to hold for all.
 */
export class ExactSizePool extends Pool {
  readonly name = "exact-size pool";
}

/** Bytes of a bucket, and how many free buffers it keeps. */
const buckets: readonly (readonly [byteLength: number, cap: number])[] = [
  [64, 250],
  [128, 200],
  [256, 200],
  [512, 200],
  [2048, 230],
  [4096, 200],
  [8192, 50],
  [16_384, 50],
  [32_768, 50],
  [65_536, 50],
  [131_072, 50],
  [262_144, 50],
  [524_288, 50],
  [1_048_576, 50],
  [2_097_152, 30],
  [4_194_304, 20],
  [8_388_608, 10],
  [12_582_912, 10],
  [16_777_216, 10],
  [26_214_400, 15],
  [33_554_432, 22],
  [44_236_800, 2],
  [58_982_400, 6],
  [67_108_864, 6],
  [134_217_728, 6],
  [167_772_160, 6],
];

/**
 * As the WebGPU provider of ONNX Runtime Web 1.30, whose storage buffers are cached by bucket unless
 * told otherwise: a size is rounded up to the next bucket; what was freed may be used again after the
 * next submission, when each bucket keeps as many free buffers as its cap and the rest is released.
 * What is larger than every bucket is rounded to 16 bytes and never kept. (Its weights are rounded to
 * 16 bytes too; no trace says what is a weight.)
 */
export class BucketPool extends Pool {
  readonly name = "bucketed pool";
  readonly #caps = new Map<number, number>(buckets);

  protected override sizeOf(bytes: number): number {
    let [first, last] = [0, buckets.length];
    while (first < last) {
      const middle = (first + last) >>> 1;
      if (buckets[middle]![0] < bytes) first = middle + 1;
      else last = middle;
    }
    return buckets[first]?.[0] ?? Math.ceil(bytes / 16) * 16;
  }

  protected override keep(buffer: PooledBuffer): void {
    const cap = this.#caps.get(buffer.byteLength) ?? 0;
    if (this.keptCount(buffer.byteLength) < cap) super.keep(buffer);
    else this.buffers.destroy(buffer);
  }
}

/** The free buffers that are kept of one size, and the size above which none is kept. */
const cappedCount = 64;
const cappedBytes = 64 * MiB;

/**
 * As the WebGPU backend of jax-js 0.1.25: it submits each dispatch by itself, so that a freed buffer is
 * there at once for the next allocation of exactly its size; 64 of a size are kept, the next is
 * destroyed, and so is any of more than 64 MiB. Sizes are not limited in number.
 */
export class CappedExactPool extends Pool {
  readonly name = "capped exact-size pool";

  protected override release(buffer: PooledBuffer): void {
    this.keep(buffer);
  }

  protected override keep(buffer: PooledBuffer): void {
    const { byteLength } = buffer;
    if (byteLength <= cappedBytes && this.keptCount(byteLength) < cappedCount) super.keep(buffer);
    else this.buffers.destroy(buffer);
  }
}
