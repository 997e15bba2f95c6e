/**
 * What is bound to one device and starts anew on another: the command stream with its parameters, the
 * transfers, and the kernels with their pipelines. Memory and handles outlive it: see `restore.ts`.
 */

import { alignUp, wordBytes } from "../host/alignment.ts";
import type { MoorageError } from "../host/errors.ts";
import type { PinnedHeap } from "../host/pinned/pinned-heap.ts";
import { elementwiseShader } from "../shaders/elementwise.ts";
import { Executor, linearGroups } from "./executor.ts";
import { ElementwiseKernels } from "./kernels/elementwise.ts";
import { EntryKernels } from "./kernels/entry-kernels.ts";
import { MatmulKernels } from "./kernels/matmul.ts";
import { AxisKernels } from "./kernels/reductions.ts";
import type { BlockTable, DeviceAllocation } from "./memory/block-table.ts";
import type { GpuMemory } from "./memory/gpu-memory.ts";
import type { SlabPool } from "./memory/slab-pool.ts";
import type { BindGroups } from "./stream/bind-groups.ts";
import { CommandStream } from "./stream/command-stream.ts";
import { Kernel } from "./stream/kernel.ts";
import type { BindingWindow } from "./stream/launch.ts";
import { ParameterRing } from "./stream/parameter-ring.ts";
import type { TensorHost } from "./tensor.ts";
import type { Snapshot } from "./transfer/read-pieces.ts";
import { Readbacks } from "./transfer/readbacks.ts";
import { Transfers } from "./transfer/transfers.ts";
import { UploadBelt } from "./transfer/upload-belt.ts";
import type { UploadWays } from "./transfer/upload-ways.ts";
import type { Waits } from "./waiting/waits.ts";

export interface EngineParts {
  /** Its device is the engine's. */
  readonly memory: GpuMemory;
  readonly pool: SlabPool;
  readonly table: BlockTable;
  readonly groups: BindGroups;
  readonly waits: Waits;
  readonly pinned: PinnedHeap;
  readonly host: TensorHost;
  readonly snapshot: (block: DeviceAllocation) => Snapshot;
  readonly ways: UploadWays;
  /** Told of failures that nobody has read. */
  readonly onError: (error: MoorageError) => void;
}

export class Engine {
  readonly device: GPUDevice;
  readonly ring: ParameterRing;
  readonly stream: CommandStream;
  readonly transfers: Transfers;
  readonly readbacks: Readbacks;
  readonly belt: UploadBelt;
  readonly executor: Executor;
  readonly elementwise: ElementwiseKernels;
  readonly axis: AxisKernels;
  readonly matmul: MatmulKernels;
  readonly entries: EntryKernels;
  readonly #pool: SlabPool;
  readonly #wordCopy = wordCopy();

  constructor({ memory, pinned, host, snapshot, ways, ...parts }: EngineParts) {
    this.device = memory.device;
    this.#pool = parts.pool;
    this.ring = new ParameterRing(memory);
    this.stream = new CommandStream({ device: memory.device, ring: this.ring, ...parts });
    this.belt = new UploadBelt(this.stream, pinned.slots);
    this.transfers = new Transfers(this.stream, pinned, this.belt, ways);
    const { stream } = this;
    this.readbacks = new Readbacks({ stream, table: parts.table, snapshot }, pinned, () =>
      this.belt.sent(),
    );
    this.stream.aroundSubmit(
      () => this.belt.seal(),
      () => this.belt.submitted(),
    );
    this.executor = new Executor(this.stream, host, parts.table, parts.pool);
    this.elementwise = new ElementwiseKernels(this.executor);
    this.axis = new AxisKernels(this.executor, this.elementwise);
    this.matmul = new MatmulKernels(this.executor, this.elementwise);
    this.entries = new EntryKernels(this.executor);
  }

  /** Copies whole words between blocks: by a kernel within one buffer, where WebGPU copies nothing. */
  copyBlock(from: DeviceAllocation, to: DeviceAllocation, byteLength: number): void {
    const run = { from: 0, to: 0, byteLength: wordBytes(byteLength) };
    if (this.stream.copies.between(from, to, [run])) return;
    const { maxBindingBytes, granuleBytes } = this.#pool;
    for (let byteOffset = 0; byteOffset < byteLength; byteOffset += maxBindingBytes) {
      const length = Math.min(maxBindingBytes, byteLength - byteOffset);
      const words = Math.ceil(length / 4);
      this.stream.words[2] = words;
      const window = { byteOffset, byteLength: alignUp(length, granuleBytes) };
      const windowIn = ({ byteLength: whole }: DeviceAllocation): BindingWindow | null =>
        whole > maxBindingBytes ? window : null;
      const isLarge = from.byteLength > maxBindingBytes || to.byteLength > maxBindingBytes;
      this.stream.dispatch(
        {
          kernel: this.#wordCopy,
          blocks: [from, to],
          offsets: [byteOffset / 4, byteOffset / 4],
          windows: isLarge ? [windowIn(from), windowIn(to)] : null,
          ...linearGroups(Math.ceil(words / 4)),
        },
        3,
      );
    }
  }
}

function wordCopy(): Kernel {
  return new Kernel({
    label: "copy words",
    inputCount: 1,
    elementBytes: [4, 4],
    source: (plan) =>
      elementwiseShader(
        {
          inputs: [{ name: "a", dtype: "uint32", form: "row" }],
          output: "uint32",
          parameters: [],
          expression: "a",
          rank: 0,
          isOutputStrided: false,
        },
        plan,
      ),
  });
}
