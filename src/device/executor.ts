/**
 * Operations end here: an operation hands over a record (kernel, inputs, output layouts), and the
 * executor places the outputs and gives the dispatch to the command stream.
 */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import { InvalidArgumentError, LifetimeError } from "../host/errors.ts";
import type { Layout } from "../host/layout.ts";
import { byteSize } from "../host/layout.ts";
import type { AllocationRequest } from "../host/region.ts";
import { workgroupSize } from "../shaders/binding.ts";
import { windowOf } from "./kernels/windows.ts";
import type { BlockTable, DeviceAllocation } from "./memory/block-table.ts";
import type { SlabPool } from "./memory/slab-pool.ts";
import type { CommandStream } from "./stream/command-stream.ts";
import type { Kernel } from "./stream/kernel.ts";
import type { BindingWindow } from "./stream/launch.ts";
import { Tensor } from "./tensor.ts";
import type { TensorHost, TensorInput } from "./tensor.ts";

/** A tensor of any lifetime, inside the runtime. */
export type AnyTensor<D extends DType = DType> = Tensor<D, unknown>;

/** Where outputs are put: a device heap or a device arena. */
export interface Placer {
  alloc(request: AllocationRequest, avoid: number): DeviceAllocation;
}

/** An output that is to be made. */
export interface OutputSpec {
  readonly dtype: DType;
  /** Contiguous, without offset. */
  readonly layout: Layout;
  readonly label: string;
}

/** What an operation asks for. Its own parameters are already in the stream's words. */
export interface KernelRecord {
  readonly kernel: Kernel;
  readonly inputs: readonly AnyTensor[];
  /** New tensors, or existing ones to write into. */
  readonly outputs: readonly (OutputSpec | AnyTensor)[];
  /** Words of parameters, the operands' offsets included. */
  readonly wordCount: number;
  /** Workgroups. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export class Executor {
  readonly stream: CommandStream;
  readonly host: TensorHost;
  readonly #table: BlockTable;
  readonly #pool: SlabPool;
  /** Parameters of operations that are placing their outputs, one inside the other. */
  readonly #keptWords: number[] = [];
  #keptCount = 0;

  constructor(stream: CommandStream, host: TensorHost, table: BlockTable, pool: SlabPool) {
    this.stream = stream;
    this.host = host;
    this.#table = table;
    this.#pool = pool;
  }

  /** Bytes of elements that any window can hold, wherever its first element lies. */
  get partBytes(): number {
    return this.#pool.maxBindingBytes - 2 * this.#pool.granuleBytes;
  }

  /** Whether one dispatch can bind all that a tensor reaches. O(1) where its memory is not larger. */
  fits(tensor: AnyTensor): boolean {
    const { allocation, dtype, layout } = tensor;
    const { maxBindingBytes } = this.#pool;
    return allocation.byteLength <= maxBindingBytes || this.#window(layout, dtype) !== null;
  }

  /** The same for a new tensor. */
  fitsNew(dtype: DType, count: number): boolean {
    return count * dtypeInfo(dtype).bytes <= this.#pool.maxBindingBytes;
  }

  /** What of a large block a dispatch binds, or `null` where that is too much. */
  #window(layout: Layout, dtype: DType): BindingWindow | null {
    const { granuleBytes, maxBindingBytes } = this.#pool;
    const window = windowOf(layout, dtypeInfo(dtype).bytes, granuleBytes);
    return window.byteLength <= maxBindingBytes ? window : null;
  }

  /** Runs a record with one output. O(operands). */
  run(record: KernelRecord, placer: Placer): AnyTensor {
    return this.runAll(record, placer)[0]!;
  }

  /** Runs a record; places its new outputs with `placer`, apart from its inputs. O(operands). */
  runAll(record: KernelRecord, placer: Placer): AnyTensor[] {
    this.stream.requireDevice();
    const { kernel, inputs } = record;
    const blocks: DeviceAllocation[] = [];
    const offsets: number[] = [];
    const outputs: AnyTensor[] = [];
    let windows: (BindingWindow | null)[] | null = null;
    try {
      this.#placeAll(record, placer, outputs);
      // Afterwards: where memory was short, listeners may have disposed any of them.
      for (const tensors of [inputs, outputs]) {
        for (const tensor of tensors) {
          blocks.push(tensor.block);
          offsets.push(tensor.layout.offset);
        }
      }
      if (this.#isAnyLarge(blocks)) windows = this.#windows(kernel, [...inputs, ...outputs]);
      const { x, y, z } = record;
      this.stream.dispatch({ kernel, blocks, offsets, windows, x, y, z }, record.wordCount);
    } catch (error) {
      // A record is all or nothing: what was placed before the one that did not fit goes back.
      outputs.forEach((made, index) => {
        if (record.outputs[index] !== made) made.dispose();
      });
      throw error;
    }
    return outputs;
  }

  /**
   * Places what is new, in no slab of an input where that can be. Placing may call listeners and hooks, and
   * they may run operations: the parameters that are written already are kept for that long.
   */
  #placeAll({ inputs, outputs, wordCount }: KernelRecord, placer: Placer, made: AnyTensor[]): void {
    const { words } = this.stream;
    const kept = this.#keptWords;
    const start = this.#keptCount;
    let avoid = 0;
    for (const { block } of inputs) {
      const slab = this.#table.slab[block.row]!;
      if (slab < 31) avoid |= 1 << slab;
    }
    for (let word = 0; word < wordCount; word++) kept[start + word] = words[word]!;
    this.#keptCount += wordCount;
    try {
      for (const output of outputs)
        made.push(output instanceof Tensor ? output : this.place(output, placer, avoid));
    } finally {
      this.#keptCount = start;
      for (let word = 0; word < wordCount; word++) words[word] = kept[start + word]!;
    }
  }

  #isAnyLarge(blocks: readonly DeviceAllocation[]): boolean {
    const { maxBindingBytes } = this.#pool;
    for (const { byteLength } of blocks) if (byteLength > maxBindingBytes) return true;
    return false;
  }

  #windows(kernel: Kernel, tensors: readonly AnyTensor[]): (BindingWindow | null)[] {
    const { maxBindingBytes } = this.#pool;
    return tensors.map(({ block, layout, dtype, label }) => {
      if (block.byteLength <= maxBindingBytes) return null;
      const window = this.#window(layout, dtype);
      // Somebody else's buffer may end inside of a granule.
      const most = this.#table.extent[block.row]! - (window?.byteOffset ?? 0);
      if (window !== null) return { ...window, byteLength: Math.min(window.byteLength, most) };
      throw new InvalidArgumentError(
        "LIMIT_EXCEEDED",
        `kernel "${kernel.label}" reaches more of "${label}" (${block.byteLength} bytes) than this device binds at once, ${maxBindingBytes}; declare a split of the kernel, or run it on parts: slice() along the outermost axis`,
        { label },
      );
    });
  }

  /** {@link place}, preferably in another slab than `other` lies in. */
  placeApart<D extends DType>(
    output: OutputSpec & { readonly dtype: D },
    placer: Placer,
    other: AnyTensor,
  ): AnyTensor<D> {
    const slab = this.#table.slab[other.block.row]!;
    return this.place(output, placer, slab < 31 ? 1 << slab : 0);
  }

  /** A tensor without contents yet: recycled memory holds old bytes. */
  place<D extends DType>(
    output: OutputSpec & { readonly dtype: D },
    placer: Placer,
    avoid: number,
  ): AnyTensor<D> {
    const { dtype, layout, label } = output;
    const byteLength = byteSize(layout.count, dtypeInfo(dtype).bytes, layout.shape, label);
    const block = placer.alloc({ byteLength, label }, avoid);
    const tensor = new Tensor<D, unknown>(this.host, block, dtype, layout, label);
    tensor.oweDisposal();
    return tensor;
  }

  /** The tensor behind an input; throws `FOREIGN_HANDLE` for another runtime's, and for anything else. */
  own<D extends DType>(input: TensorInput<D>): AnyTensor<D> {
    if (!(input instanceof Tensor)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `an operation was given ${describe(input)} instead of a tensor; make one with tensor(), upload() or zeros()`,
      );
    }
    if (input.host !== this.host) throw foreignTensor(input, this.host);
    // The lifetime is checked by its brand at compile time, and by its block at run time.
    return input;
  }
}

function foreignTensor(input: AnyTensor, host: TensorHost): LifetimeError {
  return new LifetimeError(
    "FOREIGN_HANDLE",
    `"${input.label}" belongs to runtime "${input.host.label}", and was used with runtime "${host.label}"; ` +
      "read it with data() there, and make it here with tensor()",
    { label: input.label },
  );
}

function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const { label } = value as { readonly label?: unknown };
  const name = value.constructor?.name ?? "an object";
  return typeof label === "string" ? `"${label}" (a ${name})` : `a ${name}`;
}

/** Workgroups along one axis: WebGPU's smallest limit. */
export const maxGroups = 65535;

/** Workgroups for `invocations` in a row: folded into y where x would pass WebGPU's limit. */
export function linearGroups(invocations: number): {
  readonly x: number;
  readonly y: number;
  readonly z: 1;
} {
  const groups = Math.ceil(invocations / workgroupSize);
  if (groups <= maxGroups) return { x: groups, y: 1, z: 1 };
  const y = Math.ceil(groups / maxGroups);
  return { x: Math.ceil(groups / y), y, z: 1 };
}

/** The error for work in a scope that has ended. */
export function scopeEnded(label: string): LifetimeError {
  return new LifetimeError(
    "SCOPE_ENDED",
    `${label} has ended, and cannot be used any more; await everything that uses it inside its function`,
    { label },
  );
}
