/**
 * Sharing memory with code that uses the device directly: a tensor's range lent to it, and a buffer of
 * its own as a tensor of ours. The queue is in order, so whoever submits first is first.
 */

import { dtypeInfo } from "../host/dtype.ts";
import type { DType } from "../host/dtype.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import { byteSize, contiguousLayout } from "../host/layout.ts";
import type { Shape } from "../host/layout.ts";
import type { DeviceContext } from "./context.ts";
import type { AnyTensor } from "./executor.ts";
import { Lease } from "./lease.ts";
import { Tensor } from "./tensor.ts";
import type { LabelOptions } from "./uploads.ts";

/**
 * A tensor's memory as a binding takes it, until it is disposed; from then on the tensor may move and
 * end. Submit what uses the range before that.
 */
export class BindingLease extends Lease {
  /** A large buffer that other tensors lie in too: touch no byte outside of the range. */
  readonly buffer: GPUBuffer;
  /** In bytes, a multiple of the device's binding alignment. */
  readonly offset: number;
  /** In bytes, a multiple of 4. */
  readonly size: number;

  /** @internal */
  constructor(buffer: GPUBuffer, offset: number, size: number, end: () => void) {
    super(end);
    this.buffer = buffer;
    this.offset = offset;
    this.size = size;
  }
}

/**
 * Lends the memory of a whole tensor. What was recorded before is submitted, so that the range holds
 * the tensor's value; the block stays in its place and alive until the lease ends. Rejects with
 * `INVALID_LAYOUT` for a view, and with the error of the work that should have made the tensor.
 */
export async function lend(context: DeviceContext, tensor: AnyTensor): Promise<BindingLease> {
  const { table, stream, pool } = context;
  const { label } = tensor;
  if (!tensor.isWhole) {
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `"${label}" is a view, and only a whole tensor can be lent; copy() it first`,
      { label },
    );
  }
  const { block } = tensor;
  table.takeRest(block.key);
  table.references[block.row]!++;
  table.lend(block, 1);
  const end = (): void => {
    table.lend(block, -1);
    if (block.isAlive) block.region.free(block);
  };
  try {
    await stream.whenSubmitted(true);
    const failure = stream.failureOf(block);
    if (failure !== null) throw failure;
  } catch (error) {
    end();
    throw error;
  }
  const { buffer } = pool.slab(table.slab[block.row]!);
  const size = Math.ceil(block.byteLength / 4) * 4;
  return new BindingLease(buffer, block.byteOffset, size, end);
}

export interface WrapOptions<D extends DType> extends LabelOptions {
  readonly shape: Shape;
  readonly dtype: D;
  /** Where in the buffer the tensor starts, in bytes; a multiple of the binding alignment. Default 0. */
  readonly byteOffset?: number;
}

/** A tensor over a buffer that Moorage did not make. Its owner destroys it, after the tensor is disposed. */
export function wrap<D extends DType>(
  context: DeviceContext,
  buffer: GPUBuffer,
  options: WrapOptions<D>,
): Tensor<D> {
  const { dtype, byteOffset = 0, label = buffer.label || "foreign tensor" } = options;
  const layout = contiguousLayout(options.shape, label);
  const byteLength = byteSize(layout.count, dtypeInfo(dtype).bytes, layout.shape, label);
  const block = context.foreign.wrap(buffer, byteOffset, byteLength, label);
  return new Tensor<D>(context, block, dtype, layout, label);
}
