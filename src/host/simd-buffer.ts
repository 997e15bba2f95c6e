/**
 * A typed buffer that begins where vectors want it to: at an aligned address over WebAssembly memory,
 * else at an aligned offset of its buffer; `alignmentKind` says which.
 */

import { requireAlignment } from "./alignment.ts";
import { HotArena } from "./arena/hot-arena.ts";
import type { AlignmentKind } from "./arena/page-source.ts";
import { hostDtypeInfo } from "./dtype.ts";
import type { ArrayOf, HostDType } from "./dtype.ts";
import { byteSize, contiguousLayout } from "./layout.ts";
import { deadHandle, doubleFree } from "./region.ts";
import { detectSimdAlignment } from "./simd-alignment.ts";
import type { HostAllocation, HostRegion } from "./tensor/host-region.ts";

export interface SimdBufferOptions {
  /** A power of two; default what `detectSimdAlignment()` says. */
  readonly alignment?: number;
  /**
   * Where the buffer lies; memory of its own where absent. An arena over a `WebAssembly.Memory` gives
   * aligned addresses.
   */
  readonly region?: HostRegion<never> | HostRegion;
  readonly label?: string;
}

export class SimdBuffer<D extends HostDType = HostDType> implements Disposable {
  readonly dtype: D;
  /** Elements. */
  readonly length: number;
  readonly alignment: number;
  readonly alignmentKind: AlignmentKind;
  readonly label: string;
  readonly #region: HostRegion;
  readonly #allocation: HostAllocation;
  #isFreed = false;

  private constructor(
    dtype: D,
    length: number,
    alignment: number,
    region: HostRegion,
    allocation: HostAllocation,
  ) {
    this.dtype = dtype;
    this.length = length;
    this.alignment = alignment;
    this.label = allocation.label;
    this.alignmentKind = region instanceof HotArena ? region.alignmentKind : "offset";
    this.#region = region;
    this.#allocation = allocation;
  }

  /**
   * `length` elements of old bytes. Throws `UNSUPPORTED_ALIGNMENT` for what is no power of two, or more
   * than the region gives, `INVALID_LAYOUT` for a length that is no positive whole number, and what the
   * region throws.
   */
  static allocate<D extends HostDType>(
    dtype: D,
    length: number,
    options: SimdBufferOptions = {},
  ): SimdBuffer<D> {
    const { alignment = detectSimdAlignment().bytes, label = "simd buffer" } = options;
    requireAlignment(alignment, label);
    const { bytes } = hostDtypeInfo(dtype);
    const { shape } = contiguousLayout([length], label);
    const byteLength = byteSize(length, bytes, shape, label);
    const region = options.region ?? HotArena.fixed({ byteLength, label });
    // A vector is never less aligned than its elements.
    const allocation = region.alloc({ byteLength, alignment: Math.max(alignment, bytes), label });
    return new SimdBuffer(dtype, length, alignment, region, allocation);
  }

  get byteLength(): number {
    return this.#allocation.byteLength;
  }

  /** Bytes from the start of the memory: a multiple of {@link alignment}. */
  get byteOffset(): number {
    return this.#alive().byteOffset;
  }

  get isAlive(): boolean {
    return !this.#isFreed && this.#allocation.isAlive;
  }

  /** The elements, where they are now. Throws `USE_AFTER_DISPOSE` after the end. */
  get data(): ArrayOf[D] {
    const array = this.#alive().array(this.dtype);
    return (array.length === this.length ? array : array.subarray(0, this.length)) as ArrayOf[D];
  }

  #alive(): HostAllocation {
    if (!this.isAlive) throw deadHandle(this.label, this.#region.label);
    return this.#allocation;
  }

  /** Gives the memory back; throws `DOUBLE_FREE` the second time. */
  free(): void {
    if (!this.isAlive) throw doubleFree(this.label, this.#region.label);
    this.dispose();
  }

  /** Like {@link free}, but harmless when it has ended already. */
  dispose(): void {
    if (!this.isAlive) return;
    this.#isFreed = true;
    this.#region.free(this.#allocation);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
