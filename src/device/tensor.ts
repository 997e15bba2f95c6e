/** A tensor in device memory: a handle on a block, and the layout of its elements in it. */

import type { Duties } from "../host/diagnostics/duties.ts";
import { dtypeInfo, requireArrayOf } from "../host/dtype.ts";
import type { ArrayOf, DType, HostArray } from "../host/dtype.ts";
import { InvalidArgumentError, LifetimeError } from "../host/errors.ts";
import {
  broadcastLayout,
  reshapeLayout,
  shapeText,
  sliceLayout,
  transposeLayout,
} from "../host/layout.ts";
import type { Layout, Shape, SliceRange } from "../host/layout.ts";
import type { lifetime, Owned } from "../host/lifetime.ts";
import type { ReadLease } from "./lease.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";

/** Numbers nested like the shape of the tensor they came from. */
export type NestedNumbers = number | NestedNumbers[];

/** A tensor of any lifetime: what operations take. */
export interface TensorInput<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: Shape;
  readonly label: string;
}

/**
 * `ready`: usable. `failed`: the work that should have made it was refused, and reads say why.
 * `disposed`: it, or the owner it is a view of, has ended. `escaped`: its scope has ended.
 */
export type TensorState = "ready" | "failed" | "disposed" | "escaped";

/** What a tensor needs of its runtime. */
export interface TensorHost {
  readonly label: string;
  read<D extends DType>(tensor: Tensor<D, unknown>): Promise<ArrayOf[D]>;
  readInto<D extends DType>(tensor: Tensor<D, unknown>, target: ArrayOf[D]): Promise<void>;
  lease<D extends DType>(tensor: Tensor<D, unknown>): Promise<ReadLease<D>>;
  hasFailed(block: DeviceAllocation): boolean;
  /** Told of tensors that somebody has to dispose, where anybody keeps count. */
  readonly duties: Duties | null;
  /** Converts what `read` gave to plain numbers. */
  numbers(dtype: DType, data: ArrayOf[DType]): number[];
}

/**
 * `S` is the tensor's lifetime: `Owned`, or the brand of a scope. It is invariant, so that a scope's
 * tensor cannot be assigned to anything that outlives the scope.
 */
export class Tensor<D extends DType = DType, S = Owned> implements TensorInput<D>, Disposable {
  declare readonly [lifetime]: (scope: S) => S;
  readonly dtype: D;
  readonly label: string;
  /** Shape, strides and offset, in elements. */
  readonly layout: Layout;
  /** @internal */
  readonly host: TensorHost;
  readonly #block: DeviceAllocation;
  readonly #owner: Tensor<D, S> | null;
  #disposed = false;

  /** @internal */
  constructor(
    host: TensorHost,
    block: DeviceAllocation,
    dtype: D,
    layout: Layout,
    label: string,
    owner: Tensor<D, S> | null = null,
  ) {
    this.host = host;
    this.#block = block;
    this.dtype = dtype;
    this.layout = layout;
    this.label = label;
    this.#owner = owner;
  }

  get shape(): Shape {
    return this.layout.shape;
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

  /** Whether this is a view, which borrows: its owner's end ends it. */
  get isView(): boolean {
    return this.#owner !== null;
  }

  /** @internal Whether it is all of its block, row by row: then writing it touches no neighbour. */
  get isWhole(): boolean {
    const { isContiguous, offset, count } = this.layout;
    return (
      isContiguous && offset === 0 && count * dtypeInfo(this.dtype).bytes === this.#block.byteLength
    );
  }

  /** Where the tensor lives: `device heap`, or the label of a scope. */
  get region(): string {
    return this.#block.region.label;
  }

  get #ownerDisposed(): boolean {
    return this.#owner !== null && this.#owner.#disposed;
  }

  /** @internal Whether its memory belongs to `region`. */
  isIn(region: unknown): boolean {
    return this.#block.region === region;
  }

  /** @internal Its memory, alive or not. */
  get allocation(): DeviceAllocation {
    return this.#block;
  }

  /** @internal Notes that somebody has to dispose it, unless a scope does. */
  oweDisposal(): void {
    const { duties } = this.host;
    if (duties === null || this.#block.region.kind !== "device-heap") return;
    duties.owe(this, "tensor", this.label);
  }

  get state(): TensorState {
    if (this.#disposed || this.#ownerDisposed) return "disposed";
    if (!this.#block.isAlive) return "escaped";
    return this.host.hasFailed(this.#block) ? "failed" : "ready";
  }

  /** @internal The block, checked: throws `USE_AFTER_DISPOSE` or `SCOPE_ESCAPE`. */
  get block(): DeviceAllocation {
    const block = this.#block;
    if (this.#disposed || this.#ownerDisposed || !block.isAlive) throw this.#dead();
    return block;
  }

  #dead(): LifetimeError {
    const { label } = this;
    if (this.#disposed) {
      return new LifetimeError(
        "USE_AFTER_DISPOSE",
        `"${label}" was used after it was disposed; dispose it later, or retain() it`,
        {
          label,
        },
      );
    }
    if (this.#owner !== null && this.#ownerDisposed) {
      return new LifetimeError(
        "USE_AFTER_DISPOSE",
        `"${label}" is a view, and its owner "${this.#owner.label}" was disposed; a view borrows: keep its owner, or copy() the view`,
        { label },
      );
    }
    return new LifetimeError(
      "SCOPE_ESCAPE",
      `"${label}" was used after its ${this.region} had ended; keep() it inside the scope, or return plain numbers`,
      { label },
    );
  }

  /** A view with its axes in another order, reversed unless told. No copy. */
  transpose(axes?: readonly number[]): Tensor<D, S> {
    return this.#view((layout) => transposeLayout(layout, axes));
  }

  /** A view of a part: see {@link SliceRange}. No copy. */
  slice(...ranges: readonly SliceRange[]): Tensor<D, S> {
    return this.#view((layout) => sliceLayout(layout, ranges));
  }

  /** A view with one-element or missing axes repeated. No copy. */
  broadcastTo(shape: Shape): Tensor<D, S> {
    return this.#view((layout) => broadcastLayout(layout, shape));
  }

  /** A view under another shape; throws `INVALID_LAYOUT` where the elements are strided. No copy. */
  reshape(shape: Shape): Tensor<D, S> {
    return this.#view((layout) => reshapeLayout(layout, shape));
  }

  /** @internal A view of the same memory by a layout that is known to lie in it. */
  viewAs(layout: Layout): Tensor<D, S> {
    return new Tensor(this.host, this.block, this.dtype, layout, this.label, this.#owner ?? this);
  }

  #view(layoutOf: (layout: Layout) => Layout): Tensor<D, S> {
    const { block, label } = this;
    let layout: Layout;
    try {
      layout = layoutOf(this.layout);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new InvalidArgumentError(error.code, `"${label}": ${error.message}`, { label });
    }
    return new Tensor(this.host, block, this.dtype, layout, label, this.#owner ?? this);
  }

  /** A second owner of the same memory, with an end of its own. */
  retain(): Tensor<D, S> {
    const { block } = this;
    block.table.references[block.row]!++;
    const other = new Tensor<D, S>(this.host, block, this.dtype, this.layout, this.label);
    other.oweDisposal();
    return other;
  }

  /**
   * The elements in row-major order. Rejects with the error of the work that should have made them,
   * or with `DEVICE_LOST`.
   */
  data(): Promise<ArrayOf[D]> {
    // Reading ends no lifetime: the brand does not matter to the runtime.
    return this.host.read(this as unknown as Tensor<D, unknown>);
  }

  /**
   * The elements into an array that is there already: no memory is made on the host. Rejects with
   * `INVALID_ARGUMENT` unless the array has the tensor's dtype and as many elements, else as {@link data}.
   */
  async readInto(target: ArrayOf[D]): Promise<void> {
    requireTarget(this, this.dtype, target);
    await this.host.readInto(this as unknown as Tensor<D, unknown>, target);
  }

  /**
   * The elements in the mapped memory that the device copied them to: no copy on the host. Dispose the
   * lease soon: it holds staging. Rejects as {@link data}.
   */
  async lease(): Promise<ReadLease<D>> {
    return await this.host.lease(this as unknown as Tensor<D, unknown>);
  }

  /** The elements as plain numbers, nested like the shape. */
  async toArray(): Promise<NestedNumbers> {
    const numbers = this.host.numbers(this.dtype, await this.data());
    return nest(numbers, this.shape);
  }

  /** The only element; rejects with `INVALID_LAYOUT` where there are more. */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `item() of "${this.label}" needs one element, and shape ${shapeText(this.shape)} has ${this.size}; use data() or toArray()`,
        { label: this.label },
      );
    }
    return this.host.numbers(this.dtype, await this.data())[0]!;
  }

  /** Ends this tensor. Recorded work that uses it is still done. Twice is harmless. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const block = this.#block;
    // A view owns nothing; a scope's end has already freed what was in it.
    if (this.#owner !== null) return;
    this.host.duties?.paid(this);
    if (block.isAlive) block.region.free(block);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What `JSON.stringify` shows: the description, not the elements. */
  toJSON(): { dtype: D; shape: Shape; label: string; region: string; state: TensorState } {
    const { dtype, shape, label, region, state } = this;
    return { dtype, shape, label, region, state };
  }

  toString(): string {
    return `Tensor ${this.dtype}${shapeText(this.shape)} "${this.label}" (${this.region}, ${this.state})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** Throws unless an array can take a tensor's elements, read as `dtype`. */
export function requireTarget(
  tensor: { readonly label: string; readonly size: number },
  dtype: DType,
  target: HostArray,
): void {
  const { label, size } = tensor;
  requireArrayOf(dtype, target, label);
  if (target.length === size) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `"${label}" has ${size} elements, and is to be read into ${target.length}; give an array of its size`,
    { label },
  );
}

function nest(numbers: readonly number[], shape: Shape): NestedNumbers {
  if (shape.length === 0) return numbers[0]!;
  if (shape.length === 1) return [...numbers];
  const [rows, ...rest] = shape;
  const size = numbers.length / rows!;
  return Array.from({ length: rows! }, (_, row) =>
    nest(numbers.slice(row * size, (row + 1) * size), rest),
  );
}
