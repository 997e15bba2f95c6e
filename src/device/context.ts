/**
 * Everything that works on one device: memory, command stream, kernels, transfers. The runtime and
 * its scopes are faces of it; it has no public surface of its own.
 */

import { PagePool } from "../host/arena/page-pool.ts";
import { Advisor, observerOf } from "../host/diagnostics/advisor.ts";
import type { AdvisorOptions } from "../host/diagnostics/advisor.ts";
import { Diagnostics } from "../host/diagnostics/diagnostics.ts";
import type { DiagnosticsOptions } from "../host/diagnostics/diagnostics.ts";
import { ViewWatch } from "../host/diagnostics/view-watch.ts";
import type { ArrayOf, DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import type { MoorageError } from "../host/errors.ts";
import { float16ToNumber } from "../host/float16.ts";
import { GeneralHeap } from "../host/general/general-heap.ts";
import { PinnedHeap } from "../host/pinned-heap.ts";
import { elementwiseShader } from "../shaders/elementwise.ts";
import { Executor, linearGroups } from "./executor.ts";
import type { AnyTensor } from "./executor.ts";
import { copyOperation } from "./kernels/builtin.ts";
import { ElementwiseKernels } from "./kernels/elementwise.ts";
import { MatmulKernels } from "./kernels/matmul.ts";
import { AxisKernels } from "./kernels/reductions.ts";
import { BlockTable } from "./memory/block-table.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";
import { DeviceArena } from "./memory/device-arena.ts";
import { DeviceHeap } from "./memory/device-heap.ts";
import { DevicePagePool } from "./memory/device-pages.ts";
import type { BlockCopy } from "./memory/device-region.ts";
import { GpuMemory } from "./memory/gpu-memory.ts";
import { SlabPool } from "./memory/slab-pool.ts";
import { BindGroups } from "./stream/bind-groups.ts";
import { CommandStream } from "./stream/command-stream.ts";
import { Kernel } from "./stream/kernel.ts";
import { ParameterRing } from "./stream/parameter-ring.ts";
import type { TensorHost } from "./tensor.ts";
import { GpuMappableSource, Transfers } from "./transfers.ts";
import { EntryKernels } from "./user-kernel.ts";

/** Bounds in bytes; every runtime has all of them. */
export interface Budget {
  /** Slabs: tensors and scratch on the device. Default 2 GiB. */
  readonly deviceBytes: number;
  /** Mapped staging buffers. Default 512 MiB. */
  readonly pinnedBytes: number;
  /** Host pages of scopes. Default 1 GiB. */
  readonly hotBytes: number;
  /** The general heap on the host. Default 1 GiB. */
  readonly generalBytes: number;
  /** Every `GPUBuffer` of the runtime together. Default: the sum of device and pinned, and 128 KiB. */
  readonly totalBytes: number;
}

export interface ContextOptions {
  readonly device: GPUDevice;
  readonly label: string;
  readonly budget: Budget;
  readonly slabBytes: number | undefined;
  readonly strict: boolean | undefined;
  readonly diagnostics: DiagnosticsOptions | undefined;
  readonly debug: AdvisorOptions | undefined;
  readonly onError: (error: MoorageError) => void;
}

export class DeviceContext implements TensorHost {
  readonly label: string;
  readonly device: GPUDevice;
  readonly memory: GpuMemory;
  readonly pool: SlabPool;
  readonly table = new BlockTable();
  readonly groups = new BindGroups();
  readonly ring: ParameterRing;
  readonly stream: CommandStream;
  readonly heap: DeviceHeap;
  readonly pages: DevicePagePool;
  readonly hotPages: PagePool;
  readonly general: GeneralHeap;
  readonly diagnostics: Diagnostics | null;
  readonly advisor: Advisor | null;
  readonly pinned: PinnedHeap;
  readonly transfers: Transfers;
  readonly executor: Executor;
  readonly elementwise: ElementwiseKernels;
  readonly axis: AxisKernels;
  readonly matmul: MatmulKernels;
  readonly entries: EntryKernels;

  constructor(options: ContextOptions) {
    const { device, budget } = options;
    this.label = options.label;
    this.device = device;
    this.memory = new GpuMemory(device, budget.totalBytes);
    this.ring = new ParameterRing(this.memory);
    this.pool = new SlabPool(this.memory, {
      budgetBytes: budget.deviceBytes,
      ...(options.slabBytes !== undefined && { slabBytes: options.slabBytes }),
    });
    this.stream = new CommandStream({
      device,
      ring: this.ring,
      groups: this.groups,
      pool: this.pool,
      table: this.table,
      onError: options.onError,
    });
    this.heap = new DeviceHeap(this.pool, this.table, this.#copy);
    this.pool.onReserve = (slab) => this.heap.ledger.reserve(slab.byteLength);
    this.pool.onDestroy = (slab) => {
      this.heap.forget(slab);
      this.groups.clear();
    };
    this.pages = new DevicePagePool(this.pool, this.heap);
    this.hotPages = new PagePool({ budgetBytes: budget.hotBytes, strict: options.strict ?? false });
    const { diagnostics } = options;
    const hooks = diagnostics?.hooks;
    this.diagnostics = diagnostics === undefined ? null : new Diagnostics(diagnostics);
    const advisor = options.debug === undefined ? null : new Advisor(options.debug);
    this.advisor = advisor;
    this.general = new GeneralHeap({
      budgetBytes: budget.generalBytes,
      ...(hooks && { hooks }),
      ...(advisor && {
        onIgnoredPressure: (message) => advisor.pressureIgnored("general heap", message),
      }),
    });
    this.pinned = new PinnedHeap(new GpuMappableSource(this.memory, this.stream), {
      budgetBytes: budget.pinnedBytes,
    });
    const observer = observerOf(this.diagnostics, advisor);
    for (const region of [this.general, this.pinned, this.heap]) region.observer = observer;
    this.pinned.duties = advisor;
    this.general.views = advisor === null ? null : new ViewWatch(advisor);
    this.memory.reclaim = () => {
      this.pinned.trim(0);
      this.pool.trim();
    };
    this.transfers = new Transfers(this.stream, this.pinned);
    this.executor = new Executor(this.stream, this, this.table);
    this.elementwise = new ElementwiseKernels(this.executor);
    this.axis = new AxisKernels(this.executor);
    this.matmul = new MatmulKernels(this.executor);
    this.entries = new EntryKernels(this.executor);
  }

  /** Copies whole words between blocks. A kernel, because WebGPU copies within no single buffer. */
  readonly #copy: BlockCopy = (from, to, byteLength) => {
    const words = Math.ceil(byteLength / 4);
    this.stream.words[2] = words;
    const groups = linearGroups(Math.ceil(words / 4));
    this.stream.dispatch(
      { kernel: this.#wordCopy, blocks: [from, to], offsets: [0, 0], ...groups },
      3,
    );
  };

  readonly #wordCopy = new Kernel({
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

  /** A device arena of its own, for a scope or for the intermediates of one operation. */
  arena(label: string): DeviceArena {
    const arena = new DeviceArena(this.pages, this.table, this.#copy, label);
    arena.observer = this.diagnostics;
    return arena;
  }

  hasFailed(block: DeviceAllocation): boolean {
    return this.stream.failureOf(block) !== null;
  }

  async read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    const { layout, dtype } = this.executor.own(tensor);
    const startsWord = (layout.offset * dtypeInfo(dtype).bytes) % 4 === 0;
    if (layout.isContiguous && startsWord) return await this.transfers.read(tensor);
    const arena = this.arena("read");
    try {
      const use = { inputs: [tensor], output: dtype, label: tensor.label };
      const reading = this.transfers.read(
        this.elementwise.run(copyOperation, use, arena) as AnyTensor<D>,
      );
      // The copy is recorded and the readback behind it: the scratch may be used again.
      arena.end();
      return await reading;
    } finally {
      arena.end();
    }
  }

  numbers(dtype: DType, data: ArrayOf[DType]): number[] {
    return dtype === "float16" ? Array.from(data, float16ToNumber) : Array.from(data);
  }

  /** Destroys every GPU buffer. */
  close(error: MoorageError): void {
    this.stream.flush();
    this.stream.lose(error);
    this.pinned.close();
    this.pool.close();
    this.ring.destroy();
    this.groups.clear();
  }
}
