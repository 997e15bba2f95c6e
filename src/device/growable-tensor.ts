/**
 * Data that grows along one axis, its final length unknown: a key-value cache, a log of losses. Rows
 * lie one behind the other in memory with room behind the last, so that appending copies what is
 * appended and nothing else; where the room is used up the block grows, in place if it can.
 *
 *     [ row │ row │ row │ …length──▶│      room      ]◀─capacity
 */

import { dtypeInfo, requireArrayOf } from "../host/dtype.ts";
import type { DType } from "../host/dtype.ts";
import { InvalidArgumentError, LifetimeError, OutOfMemoryError } from "../host/errors.ts";
import { byteSize, contiguousLayout, sameShape, shapeText } from "../host/layout.ts";
import type { Shape } from "../host/layout.ts";
import type { DeviceContext } from "./context.ts";
import type { AnyTensor, Placer } from "./executor.ts";
import { copyOperation } from "./kernels/builtin.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";
import { Tensor } from "./tensor.ts";
import type { TensorInput } from "./tensor.ts";
import { requireSameDtype } from "./uploads.ts";
import type { LabelOptions } from "./uploads.ts";

export interface GrowableOptions<D extends DType> extends LabelOptions {
  /** The shape without the axis that grows. */
  readonly rowShape: Shape;
  readonly dtype: D;
  /** Where in the shape the axis that grows is; default 0. */
  readonly axis?: number;
  /** Rows that there is room for at first; default 1. */
  readonly capacity?: number;
}

/** Room is made for a quarter more than is there: a copy of everything every so many rows. */
const growthFactor = 1.25;

/** How often listeners may take away what an append has made room for. */
const mostTries = 8;

export class GrowableTensor<D extends DType = DType> implements Disposable {
  readonly dtype: D;
  readonly label: string;
  readonly rowShape: Shape;
  readonly axis: number;
  readonly #context: DeviceContext;
  readonly #rowBytes: number;
  #store: Tensor<D>;
  #length = 0;

  /** @internal Throws `INVALID_LAYOUT` or `INVALID_ARGUMENT` for options that cannot be right. */
  constructor(context: DeviceContext, options: GrowableOptions<D>) {
    const { dtype, rowShape, axis = 0, capacity = 1, label = "growable tensor" } = options;
    this.#context = context;
    this.dtype = dtype;
    this.label = label;
    this.axis = axis;
    const row = contiguousLayout(rowShape, label);
    this.rowShape = row.shape;
    this.#rowBytes = byteSize(row.count, dtypeInfo(dtype).bytes, row.shape, label);
    if (!(Number.isInteger(axis) && axis >= 0 && axis <= rowShape.length)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${label}" is to grow along axis ${axis} of ${rowShape.length + 1}; give one from 0 to ${rowShape.length}`,
        { label },
      );
    }
    const layout = contiguousLayout([capacity, ...rowShape], label);
    this.#store = context.executor.place({ dtype, layout, label }, context.heap, 0) as Tensor<D>;
  }

  /** Rows that it has. */
  get length(): number {
    return this.#length;
  }

  /** Rows that it has room for. */
  get capacity(): number {
    return this.#store.shape[0]!;
  }

  /** Bytes of device memory that it holds, the room included. */
  get byteLength(): number {
    return this.capacity * this.#rowBytes;
  }

  /** The shape as it is now, the axis that grows in its place. */
  get shape(): Shape {
    return this.rowShape.toSpliced(this.axis, 0, this.#length);
  }

  get isDisposed(): boolean {
    return this.#store.state === "disposed";
  }

  /**
   * A view of some rows, all of them unless told. It borrows: the next growth or {@link dispose} ends it.
   * Throws `INVALID_LAYOUT` where there is no row.
   */
  view(start = 0, stop = this.#length): Tensor<D> {
    if (!(start >= 0 && start < stop && stop <= this.#length)) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${this.label}" has ${this.#length} rows, and a view of ${start} to ${stop} was asked for; a view has a row at least`,
        { label: this.label },
      );
    }
    return this.#arranged(this.#store.slice([start, stop]));
  }

  /** Rows in the order of memory as a tensor with its axes in the user's order. */
  #arranged(rows: Tensor<D>): Tensor<D> {
    if (this.axis === 0) return rows;
    const axes = this.rowShape.map((_, axis) => axis + 1);
    return rows.transpose(axes.toSpliced(this.axis, 0, 0));
  }

  /**
   * Puts rows behind the last: a tensor of the whole rank, or of the rank of one row; or an array of
   * whole rows, their elements in row-major order of that shape. Views from before stay good where there
   * was room. Throws `OUT_OF_MEMORY` and `INVALID_LAYOUT`; then nothing has changed. O(rows appended),
   * and a copy of everything whenever the room is used up and what lies behind is not free.
   */
  append(rows: TensorInput<D> | (ArrayLike<number> & ArrayBufferView)): void {
    this.#requireAlive();
    this.#context.stream.requireDevice();
    if (ArrayBuffer.isView(rows)) this.#appendArray(rows);
    else this.#appendTensor(this.#context.executor.own(rows));
  }

  #appendArray(rows: ArrayLike<number> & ArrayBufferView): void {
    const { label, dtype, axis } = this;
    requireArrayOf(dtype, rows, label);
    const count = rows.byteLength / this.#rowBytes;
    if (!(Number.isInteger(count) && count > 0)) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${label}" was given ${rows.length} elements, and a row of shape ${shapeText(this.rowShape)} has ${this.#rowBytes / dtypeInfo(dtype).bytes}; give whole rows`,
        { label },
      );
    }
    this.#makeRoom(count);
    const start = this.#length * this.#rowBytes;
    // The queue writes whole words.
    if ((axis === 0 || count === 1) && start % 4 === 0 && rows.byteLength % 4 === 0) {
      this.#context.transfers.fromArray(rows, this.#store.block, start);
      this.#length += count;
      return;
    }
    const { executor, transfers } = this.#context;
    this.#withScratch((scratch) => {
      const layout = contiguousLayout(this.rowShape.toSpliced(axis, 0, count), label);
      const made = executor.place({ dtype, layout, label }, scratch, 0);
      transfers.fromArray(rows, made.block);
      this.#appendTensor(made);
    });
  }

  #appendTensor(rows: AnyTensor<D>): void {
    requireSameDtype("append", this, rows);
    const { axis, rowShape, label } = this;
    const isRow = rows.shape.length === rowShape.length;
    const count = isRow ? 1 : rows.shape[axis]!;
    const wanted = isRow ? rowShape : rowShape.toSpliced(axis, 0, count);
    if (!sameShape(rows.shape, wanted)) {
      throw new InvalidArgumentError(
        "INVALID_LAYOUT",
        `"${label}" has rows of shape ${shapeText(rowShape)} along axis ${axis}, and was given shape ${shapeText(rows.shape)}`,
        { label },
      );
    }
    const { elementwise } = this.#context;
    this.#withScratch((scratch) => {
      // A part of itself goes aside first: growing would end it, and reads and writes could meet.
      const isOwn = rows.block === this.#store.block;
      const use = { inputs: [rows], output: this.dtype };
      const source = isOwn ? elementwise.run(copyOperation, use, scratch) : rows;
      this.#makeRoom(count);
      const target = this.#arranged(this.#store.slice([this.#length, this.#length + count]));
      const full = isRow ? source.reshape(rowShape.toSpliced(axis, 0, 1)) : source;
      const copy = { inputs: [full], output: this.dtype, target: target as AnyTensor };
      elementwise.run(copyOperation, copy, this.#context.heap);
    });
    this.#length += count;
  }

  #withScratch(action: (scratch: Placer) => void): void {
    const scratch = this.#context.arena(`append to ${this.label}`);
    try {
      action(scratch);
    } finally {
      scratch.end();
    }
  }

  /** Makes room behind the last row, wherever that is by then: listeners may append and truncate. */
  #makeRoom(count: number): void {
    for (let tries = 0; this.#length + count > this.capacity; tries++) {
      if (tries === mostTries) throw this.#neverLarge(count);
      this.reserve(this.#length + count);
    }
    if (this.#length > 0) return;
    // What was lost is forgotten: the first row is of no former value.
    const { table, stream } = this.#context;
    if (!stream.isHolding) table.failures.delete(this.#store.block.key);
  }

  #neverLarge(count: number): OutOfMemoryError {
    const { label } = this;
    return new OutOfMemoryError(
      `"${label}" was made smaller by a pressure listener as often as it grew for ${count} rows; let listeners dispose other tensors`,
      { requestedBytes: count * this.#rowBytes, availableBytes: 0 },
      { label },
    );
  }

  /** Makes room for `capacity` rows in all. Throws `OUT_OF_MEMORY`; then nothing has changed. */
  reserve(capacity: number): void {
    this.#requireAlive();
    if (capacity <= this.capacity) return;
    const generous = Math.max(capacity, Math.ceil(this.capacity * growthFactor));
    try {
      this.#resize(generous);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || generous === capacity) throw error;
      this.#resize(capacity);
    }
  }

  /** Forgets the rows from `length` on; the room stays. */
  truncate(length: number): void {
    this.#requireAlive();
    if (!(Number.isInteger(length) && length >= 0 && length <= this.#length)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `"${this.label}" has ${this.#length} rows and cannot be truncated to ${length}`,
        { label: this.label },
      );
    }
    this.#length = length;
  }

  /** Gives back the room behind the last row. */
  trim(): void {
    this.#requireAlive();
    const least = Math.max(1, this.#length);
    if (least < this.capacity) this.#resize(least);
  }

  #resize(capacity: number): void {
    const { dtype, label } = this;
    const layout = contiguousLayout([capacity, ...this.rowShape], label);
    const before = this.#store;
    let block: DeviceAllocation;
    try {
      block = this.#context.heap.realloc(before.block, capacity * this.#rowBytes);
    } catch (error) {
      // A listener has resized it meanwhile, or ended it: who asked looks again.
      if (this.#store !== before && !this.isDisposed) return;
      throw error;
    }
    // Its block is gone with the old size; this ends its views by name.
    this.#store.dispose();
    this.#store = new Tensor<D>(this.#context, block, dtype, layout, label);
    this.#store.oweDisposal();
  }

  #requireAlive(): void {
    if (!this.isDisposed) return;
    throw new LifetimeError(
      "USE_AFTER_DISPOSE",
      `"${this.label}" was used after it was disposed; dispose it later`,
      { label: this.label },
    );
  }

  /** Ends it and its views. Twice is harmless. */
  dispose(): void {
    this.#store.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `GrowableTensor ${this.dtype}${shapeText(this.shape)} "${this.label}" (room for ${this.capacity})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
