/**
 * Tensors on the host, over memory of any region: real typed arrays underneath, views without copies
 * above. A view borrows: it ends with the tensor that owns the memory.
 */

import { arrayName, hostDtypeInfo, newArray } from "../dtype.ts";
import type { ArrayOf, HostDType } from "../dtype.ts";
import { InvalidArgumentError } from "../errors.ts";
import {
  broadcastLayout,
  byteSize,
  contiguousLayout,
  reshapeLayout,
  shapeText,
  sliceLayout,
  transposeLayout,
} from "../layout.ts";
import type { Layout, Shape, SliceRange } from "../layout.ts";
import type { lifetime, Owned } from "../lifetime.ts";
import { deadHandle } from "../region.ts";
import { settled } from "../settled.ts";
import { castOf, convertElements, decoderOf, encoderOf } from "./conversion.ts";
import type {
  HostAllocation,
  HostRegion,
  HostTensorOptions,
  Home,
  NestedArray,
} from "./host-region.ts";
import type { CheckedIndex, Reversed } from "./index-types.ts";
import { fillElements, gather, scatter } from "./strided-copy.ts";
import type { Elements } from "./strided-copy.ts";

interface Storage {
  readonly region: HostRegion;
  readonly allocation: HostAllocation;
  isFreed: boolean;
}

/**
 * A tensor over new memory of `region`. In a scope, over `scope.hot`, it ends with the scope, and cannot
 * leave it: `L` is the brand of the lifetime. It holds old bytes. Throws what the region throws, and
 * `INVALID_LAYOUT` for a shape without elements. O(1) beside the allocation.
 */
export function hostTensor<D extends HostDType, const S extends Shape, L = Owned>(
  region: Home<L>,
  options: HostTensorOptions<D, S>,
): HostTensor<D, S, L> {
  const { dtype, label = "host tensor" } = options;
  const { bytes } = hostDtypeInfo(dtype);
  const layout = contiguousLayout(options.shape, label);
  const byteLength = byteSize(layout.count, bytes, layout.shape, label);
  const alignment = options.alignment ?? Math.max(8, bytes);
  const home: HostRegion = region;
  const allocation = home.alloc({ byteLength, alignment, label });
  const storage = { region: home, allocation, isFreed: false };
  return new HostTensor<D, S, L>(storage, layout, dtype, label, true);
}

export class HostTensor<
  D extends HostDType = HostDType,
  S extends Shape = Shape,
  L = Owned,
> implements Disposable {
  declare readonly [lifetime]: (lifetime: L) => L;
  readonly dtype: D;
  readonly label: string;
  readonly layout: Layout;
  /** Whether the tensor borrows the memory of another. */
  readonly isView: boolean;
  readonly #storage: Storage;
  readonly #decode: ((element: number) => number) | undefined;
  readonly #encode: ((value: number) => number) | undefined;
  #raw: ArrayOf[D] | null = null;
  #isDisposed = false;

  /** @internal */
  constructor(storage: Storage, layout: Layout, dtype: D, label: string, isOwner: boolean) {
    this.#storage = storage;
    this.layout = layout;
    this.dtype = dtype;
    this.label = label;
    this.isView = !isOwner;
    this.#decode = decoderOf(dtype);
    this.#encode = encoderOf(dtype);
  }

  get shape(): S {
    return this.layout.shape as S;
  }

  /** In elements. */
  get strides(): readonly number[] {
    return this.layout.strides;
  }

  /** Elements between the start of the memory and the first element. */
  get offset(): number {
    return this.layout.offset;
  }

  /** Number of elements. */
  get size(): number {
    return this.layout.count;
  }

  get isContiguous(): boolean {
    return this.layout.isContiguous;
  }

  /** False once the tensor, or the one that it borrows from, has ended. */
  get isAlive(): boolean {
    return !this.#isDisposed && !this.#storage.isFreed && this.#storage.allocation.isAlive;
  }

  /** @internal Its memory, alive or not. */
  get allocation(): HostAllocation {
    return this.#storage.allocation;
  }

  /** @internal Whether its memory belongs to `region`. */
  isIn(region: unknown): boolean {
    return this.#storage.region === region;
  }

  /** All of the memory as elements; throws `USE_AFTER_DISPOSE`, naming the owner, once it has ended. */
  #elements(): ArrayOf[D] {
    const { allocation, region, isFreed } = this.#storage;
    if (this.#isDisposed) throw deadHandle(this.label, region.label);
    if (isFreed) throw deadHandle(allocation.label, region.label);
    return allocation.array(this.dtype);
  }

  /**
   * The elements as one typed array, without a copy. Throws `INVALID_LAYOUT` for a view whose elements
   * do not lie row by row. The array is raw: what the region says of raw arrays holds.
   */
  get data(): ArrayOf[D] {
    const elements = this.#elements();
    const { isContiguous, offset, count } = this.layout;
    if (!isContiguous) throw this.#strided("one typed array");
    return (
      offset === 0 && count === elements.length
        ? elements
        : elements.subarray(offset, offset + count)
    ) as ArrayOf[D];
  }

  #strided(what: string): InvalidArgumentError {
    return new InvalidArgumentError(
      "INVALID_LAYOUT",
      `"${this.label}" of shape ${shapeText(this.shape)} has strides ${shapeText(this.strides)} and cannot be seen as ${what}; copy() it first`,
      { label: this.label },
    );
  }

  /**
   * The number at an index; negative ones count from the end. Throws `INVALID_ARGUMENT` for an index
   * that does not exist. O(rank).
   */
  at<const I extends readonly number[]>(...index: CheckedIndex<S, I> & readonly number[]): number {
    const element = this.#elements()[this.#place(index)]!;
    return this.#decode === undefined ? element : this.#decode(element);
  }

  /** Sets the number at an index; what {@link at} refuses is refused. O(rank). */
  set<const I extends readonly number[]>(
    value: number,
    ...index: CheckedIndex<S, I> & readonly number[]
  ): void {
    this.#requireWritable();
    this.#elements()[this.#place(index)] = this.#encode === undefined ? value : this.#encode(value);
  }

  /**
   * Like {@link at}, for hot loops: no index and no lifetime is checked, and negative indices do not
   * count from the end. Over memory that may move or end meanwhile (a general heap's), hold it: inside
   * `withNoGC`, or pinned; and call {@link refresh} first.
   */
  uncheckedAt(...index: readonly number[]): number {
    const { strides } = this.layout;
    let at = this.layout.offset;
    for (let axis = 0; axis < index.length; axis++) at += index[axis]! * strides[axis]!;
    const element = (this.#raw ?? this.refresh())[at]!;
    return this.#decode === undefined ? element : this.#decode(element);
  }

  /** The counterpart of {@link uncheckedAt}. */
  uncheckedSet(value: number, ...index: readonly number[]): void {
    const { strides } = this.layout;
    let at = this.layout.offset;
    for (let axis = 0; axis < index.length; axis++) at += index[axis]! * strides[axis]!;
    (this.#raw ?? this.refresh())[at] = this.#encode === undefined ? value : this.#encode(value);
  }

  /** Looks where the memory is now, for the unchecked pair. */
  refresh(): ArrayOf[D] {
    this.#raw = this.#elements();
    return this.#raw;
  }

  #place(index: readonly number[]): number {
    const { shape, strides, offset } = this.layout;
    let at = offset;
    for (let axis = 0; axis < shape.length; axis++) {
      const extent = shape[axis]!;
      let own = index[axis]!;
      if (own < 0) own += extent;
      // Also false for NaN, for a missing index, and for a fraction, which is no place in memory.
      if (!(own >= 0 && own < extent) || own !== Math.floor(own)) throw this.#outside(index);
      at += own * strides[axis]!;
    }
    if (index.length !== shape.length) throw this.#outside(index);
    return at;
  }

  #outside(index: readonly number[]): InvalidArgumentError {
    const wanted = `"${this.label}" of shape ${shapeText(this.shape)} was asked for [${index.join(", ")}]`;
    return new InvalidArgumentError(
      "INVALID_ARGUMENT",
      index.length === this.shape.length
        ? `${wanted}; each index is a whole number from -extent to extent - 1`
        : `${wanted}; give ${this.shape.length} indices`,
      { label: this.label },
    );
  }

  #requireWritable(): void {
    if (!this.strides.some((stride, axis) => stride === 0 && this.shape[axis]! > 1)) return;
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `"${this.label}" is broadcast to ${shapeText(this.shape)}: several of its elements are one in memory; copy() it before you write`,
      { label: this.label },
    );
  }

  #view<T extends Shape>(layout: Layout): HostTensor<D, T, L> {
    // A view of what has ended would only fail later, and elsewhere.
    this.#elements();
    return new HostTensor<D, T, L>(this.#storage, layout, this.dtype, this.label, false);
  }

  /** A view with its axes in another order; reversed where none is told. */
  transpose(): HostTensor<D, Reversed<S>, L>;
  transpose(axes: readonly number[]): HostTensor<D, Shape, L>;
  transpose(axes?: readonly number[]): HostTensor<D, Shape, L> {
    return this.#view(transposeLayout(this.layout, axes));
  }

  /** A view of a part: see {@link SliceRange}. */
  slice(ranges: readonly SliceRange[]): HostTensor<D, Shape, L> {
    return this.#view(sliceLayout(this.layout, ranges));
  }

  /** A view that repeats axes of one element, and new ones in front. It cannot be written. */
  broadcast<const T extends Shape>(shape: T): HostTensor<D, T, L> {
    return this.#view(broadcastLayout(this.layout, shape));
  }

  /** A view of another shape; throws `INVALID_LAYOUT` where only a copy could have it. */
  reshape<const T extends Shape>(shape: T): HostTensor<D, T, L> {
    return this.#view(reshapeLayout(this.layout, shape));
  }

  /**
   * Runs `action` with a view of a part, which ends with it, or with the promise that it returns. The
   * view has a brand of its own: it cannot be part of the result.
   */
  withView<R>(ranges: readonly SliceRange[], action: <V>(view: HostTensor<D, Shape, V>) => R): R {
    const view = this.slice(ranges);
    return settled(
      () => action(view),
      () => view.dispose(),
    );
  }

  /**
   * The same numbers row by row in new memory, of this tensor's region unless another is given. Throws
   * what the region throws. O(elements).
   */
  copy(): HostTensor<D, S, L>;
  copy<M = Owned>(region: Home<M>): HostTensor<D, S, M>;
  copy<M>(region?: Home<M>): HostTensor<D, S, L> | HostTensor<D, S, M> {
    return this.#into<D, M>(region ?? this.#home(), this.dtype, undefined);
  }

  /**
   * The same numbers as another dtype, in new memory. Integers are truncated and held at the ends of
   * their range, NaN becomes 0 there; into `bool`, everything but 0 is 1. O(elements).
   */
  cast<E extends HostDType>(dtype: E): HostTensor<E, S, L>;
  cast<E extends HostDType, M = Owned>(dtype: E, region: Home<M>): HostTensor<E, S, M>;
  cast<E extends HostDType, M>(
    dtype: E,
    region?: Home<M>,
  ): HostTensor<E, S, L> | HostTensor<E, S, M> {
    return this.#into<E, M>(region ?? this.#home(), dtype, castOf(this.dtype, dtype));
  }

  /** @internal Writes the elements, row-major, to an array of `dtype`; as `cast` has them. O(elements). */
  copyTo<E extends HostDType>(dtype: E, target: ArrayOf[E]): void {
    const elements = this.#elements();
    if (this.isContiguous) convertElements(this.dtype, this.data, dtype, target);
    else gather<Elements>(elements, this.layout, target, castOf(this.dtype, dtype));
  }

  /** The region of its own memory, whose lifetime is the tensor's. */
  #home<M>(): Home<M> {
    return this.#storage.region;
  }

  #into<E extends HostDType, M>(
    region: Home<M>,
    dtype: E,
    convert: ((element: number) => number) | undefined,
  ): HostTensor<E, S, M> {
    this.#elements();
    const { label } = this;
    const made = hostTensor<E, S, M>(region, { shape: this.shape, dtype, label });
    try {
      // Asked for again: the allocation may have moved what this tensor lies in.
      gather(this.#elements(), this.layout, made.data as never, convert);
    } catch (error) {
      made.dispose();
      throw error;
    }
    return made;
  }

  /** Sets every element. Throws for a broadcast view. O(elements). */
  fill(value: number): this {
    this.#requireWritable();
    fillElements(
      this.#elements(),
      this.layout,
      this.#encode === undefined ? value : this.#encode(value),
    );
    return this;
  }

  /**
   * Sets every element from row-major numbers. Throws `INVALID_ARGUMENT` where there are not as many,
   * and for a broadcast view.
   */
  assign(values: ArrayLike<number>): this {
    this.#requireWritable();
    if (values.length !== this.size) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${this.label}" has ${this.size} elements and was given ${values.length}; give one number for each`,
        { label: this.label },
      );
    }
    scatter(values, this.#elements(), this.layout, this.#encode);
    return this;
  }

  /** The numbers as arrays in arrays. O(elements). */
  toArray(): NestedArray {
    const flat = newArray("float64", this.size);
    gather<Float64Array | ArrayOf[D]>(this.#elements(), this.layout, flat, this.#decode);
    const nest = (axis: number, start: number, count: number): NestedArray => {
      if (axis === this.shape.length) return flat[start]!;
      const extent = this.shape[axis]!;
      const step = count / extent;
      return Array.from({ length: extent }, (_, at) => nest(axis + 1, start + at * step, step));
    };
    return nest(0, 0, this.size);
  }

  /** Ends the tensor; the memory goes back with its owner, and every view of it ends. Twice is harmless. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#raw = null;
    const { region, allocation } = this.#storage;
    if (this.isView || this.#storage.isFreed) return;
    this.#storage.isFreed = true;
    // An arena may have ended before its tensors.
    if (allocation.isAlive) region.free(allocation);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    const state = this.isAlive ? (this.isView ? "view" : "owner") : "ended";
    return `HostTensor ${this.dtype}${shapeText(this.shape)} "${this.label}" (${this.#storage.region.label}, ${state}; ${arrayName(this.dtype)})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
