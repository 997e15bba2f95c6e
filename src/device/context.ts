/**
 * Everything that works on one device: memory, command stream, kernels, transfers. The runtime and
 * its scopes are faces of it; it has no public surface of its own.
 */

import { PagePool } from "../host/arena/page-pool.ts";
import { Advisor, observerOf } from "../host/diagnostics/advisor.ts";
import type { AdvisorOptions } from "../host/diagnostics/advisor.ts";
import { breakdownOf } from "../host/diagnostics/breakdown.ts";
import { Diagnostics } from "../host/diagnostics/diagnostics.ts";
import type { DiagnosticsOptions } from "../host/diagnostics/diagnostics.ts";
import type { Duties } from "../host/diagnostics/duties.ts";
import { ViewWatch } from "../host/diagnostics/view-watch.ts";
import type { ArrayOf, DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import type { MoorageError } from "../host/errors.ts";
import { float16ToNumber } from "../host/float16.ts";
import { GeneralHeap } from "../host/general/general-heap.ts";
import { PinnedHeap } from "../host/pinned/pinned-heap.ts";
import { requireAlive } from "../host/region.ts";
import type { Budget } from "./budget.ts";
import { Engine } from "./engine.ts";
import type { AnyTensor, Executor, Placer } from "./executor.ts";
import { copyOperation } from "./kernels/builtin.ts";
import type { ElementwiseKernels } from "./kernels/elementwise.ts";
import type { EntryKernels } from "./kernels/entry-kernels.ts";
import type { MatmulKernels } from "./kernels/matmul.ts";
import type { AxisKernels } from "./kernels/reductions.ts";
import type { ReadLease } from "./lease.ts";
import { liveAllocations } from "./live-allocations.ts";
import { BlockMover } from "./memory/block-mover.ts";
import { BlockTable } from "./memory/block-table.ts";
import type { DeviceAllocation } from "./memory/block-table.ts";
import { Decay } from "./memory/decay.ts";
import { DeviceArena } from "./memory/device-arena.ts";
import { DeviceHeap } from "./memory/device-heap.ts";
import { DevicePagePool } from "./memory/device-pages.ts";
import type { BlockCopy } from "./memory/device-region.ts";
import { ForeignBuffers } from "./memory/foreign-buffers.ts";
import { GpuMappableSource } from "./memory/gpu-mappable.ts";
import { GpuMemory } from "./memory/gpu-memory.ts";
import { emptySlabs, makeRoom } from "./memory/make-room.ts";
import { SlabPool } from "./memory/slab-pool.ts";
import { BindGroups } from "./stream/bind-groups.ts";
import type { CommandStream } from "./stream/command-stream.ts";
import type { TensorHost } from "./tensor.ts";
import type { Snapshot } from "./transfer/read-pieces.ts";
import type { Readbacks } from "./transfer/readbacks.ts";
import type { Transfers } from "./transfer/transfers.ts";
import type { UploadBelt } from "./transfer/upload-belt.ts";
import { UploadWays } from "./transfer/upload-ways.ts";
import type { UploadPlan, UploadWay } from "./transfer/upload-ways.ts";
import { Fence } from "./waiting/fence.ts";
import { Nudges } from "./waiting/nudges.ts";
import { canSleep, Patience } from "./waiting/patience.ts";
import type { Waits } from "./waiting/waits.ts";

export interface ContextOptions {
  readonly device: GPUDevice;
  readonly label: string;
  readonly budget: Budget;
  readonly slabBytes: number | undefined;
  readonly idleMs: number | undefined;
  readonly strict: boolean | undefined;
  readonly diagnostics: DiagnosticsOptions | undefined;
  readonly debug: AdvisorOptions | undefined;
  readonly onError: (error: MoorageError) => void;
  readonly uploads: UploadPlan | UploadWay | undefined;
  readonly waiting: "platform" | "sleep" | undefined;
}

export class DeviceContext implements TensorHost {
  readonly label: string;
  readonly memory: GpuMemory;
  readonly waits: Waits;
  readonly pool: SlabPool;
  readonly table = new BlockTable();
  readonly groups = new BindGroups();
  readonly heap: DeviceHeap;
  readonly mover: BlockMover;
  readonly foreign: ForeignBuffers;
  readonly pages: DevicePagePool;
  readonly hotPages: PagePool;
  readonly general: GeneralHeap;
  readonly diagnostics: Diagnostics | null;
  readonly advisor: Advisor | null;
  readonly duties: Duties | null;
  readonly pinned: PinnedHeap;
  readonly ways: UploadWays;
  readonly #onError: (error: MoorageError) => void;
  readonly #decay: Decay;
  readonly #fence: Fence;
  readonly #cachedBytes: number;
  // What runs on the device that there is now: fields, because every small operation goes through some.
  device!: GPUDevice;
  stream!: CommandStream;
  transfers!: Transfers;
  belt!: UploadBelt;
  readbacks!: Readbacks;
  executor!: Executor;
  elementwise!: ElementwiseKernels;
  axis!: AxisKernels;
  matmul!: MatmulKernels;
  entries!: EntryKernels;
  #engine!: Engine;

  constructor(options: ContextOptions) {
    const { device, budget } = options;
    this.label = options.label;
    this.#onError = options.onError;
    this.memory = new GpuMemory(device, budget.totalBytes);
    this.ways = new UploadWays(options.uploads, device);
    const isPatient = options.waiting === "sleep" && canSleep();
    this.waits = isPatient ? new Patience() : new Nudges(() => this.memory.device);
    this.pool = new SlabPool(this.memory, {
      budgetBytes: budget.deviceBytes,
      softBytes: budget.deviceSoftBytes,
      ...(options.slabBytes !== undefined && { slabBytes: options.slabBytes }),
    });
    this.heap = new DeviceHeap(this.pool, this.table, this.copy);
    this.foreign = new ForeignBuffers(this.pool, this.table);
    this.mover = new BlockMover(this.pool, this.table, this.heap, (...move) => {
      this.stream.copies.moveRange(...move);
      this.stream.schedule();
    });
    this.heap.whenQuiet = async () => {
      await this.stream.whenSubmitted(true);
      await this.whenDone();
      await new Promise((resolve) => setTimeout(resolve, 0));
    };
    this.heap.isHolding = () => this.stream.isHolding;
    this.pool.onReserve = (slab) => this.heap.ledger.reserve(slab.byteLength);
    this.pool.onDestroy = (slab) => {
      this.heap.forget(slab);
      this.groups.clear();
    };
    this.pool.onDrop = () => this.groups.clear();
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
    this.pinned = new PinnedHeap(
      new GpuMappableSource(
        this.memory,
        () => this.stream,
        (waiting) => this.waits.during(waiting),
      ),
      { budgetBytes: budget.pinnedBytes, softBytes: budget.pinnedSoftBytes },
    );
    this.pinned.slots.onPressure = (event) =>
      this.pool.ladder.appeal({ region: "pinned", ...event });
    const observer = observerOf(this.diagnostics, advisor);
    this.pinned.observe(observer);
    for (const region of [this.general, this.heap]) region.observer = observer;
    this.duties = advisor?.duties ?? null;
    this.pinned.duties = this.duties;
    this.general.duties = this.duties;
    this.general.views = advisor === null ? null : new ViewWatch(advisor);
    this.#armLadder();
    this.memory.reclaim = () => {
      this.pinned.trim(0);
      this.pool.trim();
    };
    this.#fence = new Fence({
      device: () => this.device,
      slots: this.pinned.slots,
      isHolding: () => this.stream.isHolding,
    });
    this.#cachedBytes = budget.cachedBytes;
    this.pinned.slots.onPooled = () => {
      if (this.pinned.pooledBytes > this.#cachedBytes) this.stream.schedule();
    };
    this.#decay = new Decay(options.idleMs ?? 10_000, () => this.#releaseIdle());
    this.#connect();
  }

  /** Whether to look again: what is in use now may be disposed later, with no work that would tell. */
  #releaseIdle(): boolean {
    if (this.stream.isLost) return false;
    this.pinned.decay();
    this.pool.decay();
    return this.pool.reservedBytes > 0 || this.pinned.stats().reservedBytes > 0;
  }

  #endOfTask(): void {
    this.#decay.touch();
    const cached = this.pool.emptyBytes + this.pinned.pooledBytes;
    if (cached <= this.#cachedBytes) return;
    this.pinned.trim(Math.max(0, this.#cachedBytes - this.pool.emptyBytes));
    if (this.pool.emptyBytes > this.#cachedBytes) this.pool.trim();
  }

  /** Makes what runs on the device that {@link memory} has now. */
  #connect(): void {
    const { memory, pool, table, groups, pinned, ways, waits } = this;
    const engine = new Engine({
      ways,
      waits,
      memory,
      pool,
      table,
      groups,
      pinned,
      host: this,
      snapshot: this.#snapshot,
      onError: this.#onError,
    });
    engine.stream.onEndOfTask = () => this.#endOfTask();
    this.#engine = engine;
    this.device = engine.device;
    this.stream = engine.stream;
    this.transfers = engine.transfers;
    this.belt = engine.belt;
    this.readbacks = engine.readbacks;
    this.executor = engine.executor;
    this.elementwise = engine.elementwise;
    this.axis = engine.axis;
    this.matmul = engine.matmul;
    this.entries = engine.entries;
  }

  /** @internal Starts anew on another device; its memory is empty. */
  reconnect(device: GPUDevice): void {
    this.#engine.belt.close();
    this.#engine.ring.destroy();
    this.memory.device = device;
    this.pool.measure();
    this.#connect();
  }

  /** Settles when the device has done what was submitted so far. */
  async whenDone(): Promise<void> {
    await this.waits.during(this.#fence.passed());
  }

  #armLadder(): void {
    const { pool } = this;
    pool.ladder.steps.submitted = () => this.stream.flush();
    pool.ladder.steps.trimmed = () => this.memory.reclaim();
    pool.ladder.steps.compacted = (neededBytes) => {
      // What waits has its places already; it may not be moved behind its back.
      if (this.stream.hasHeldWork) return;
      if (makeRoom(pool, this.mover, neededBytes)) return;
      emptySlabs(pool, this.mover, neededBytes);
      pool.trim();
    };
    pool.describe = () => breakdownOf(liveAllocations(this));
  }

  readonly copy: BlockCopy = (from, to, byteLength) => this.#engine.copyBlock(from, to, byteLength);

  /** A device arena of its own, for a scope or for the intermediates of one operation. */
  arena(label: string): DeviceArena {
    const arena = new DeviceArena(this.pages, this.table, this.copy, label);
    arena.observer = this.diagnostics;
    return arena;
  }

  hasFailed(block: DeviceAllocation): boolean {
    return this.stream.failureOf(block) !== null;
  }

  read<D extends DType>(tensor: AnyTensor<D>): Promise<ArrayOf[D]> {
    // Most reads: the rest costs arrays and closures.
    if (isReadable(tensor)) return this.readbacks.quick.read(tensor, null);
    try {
      return this.withReadable([tensor], ([readable]) =>
        this.readbacks.quick.read(readable as AnyTensor<D>, null),
      );
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The elements of several tensors: one submission, one mapping. */
  async readAll(tensors: readonly AnyTensor[]): Promise<ArrayOf[DType][]> {
    return await this.withReadable(tensors, (readable) => this.readbacks.readAll(readable));
  }

  async readInto<D extends DType>(tensor: AnyTensor<D>, target: ArrayOf[D]): Promise<void> {
    const read = async (readable: AnyTensor): Promise<void> => {
      await this.readbacks.quick.read(readable as AnyTensor<D>, target);
    };
    if (isReadable(tensor)) await read(tensor);
    else await this.withReadable([tensor], ([readable]) => read(readable!));
  }

  async lease<D extends DType>(tensor: AnyTensor<D>): Promise<ReadLease<D>> {
    return await this.withReadable([tensor], ([readable]) =>
      this.readbacks.lease(readable as AnyTensor<D>),
    );
  }

  /** Tensors as a copy can take them: contiguous, from a word on; else as scratch that is. */
  withReadable<T>(
    tensors: readonly AnyTensor[],
    read: (readable: readonly AnyTensor[]) => Promise<T>,
  ): Promise<T> {
    let arena: DeviceArena | null = null;
    try {
      const readable = tensors.map((tensor) => {
        if (isReadable(this.executor.own(tensor))) return tensor;
        return this.copyInto(tensor, (arena ??= this.arena("read")));
      });
      return read(readable);
    } finally {
      // What is read is recorded: the scratch may be used again.
      (arena as DeviceArena | null)?.end();
    }
  }

  /** A contiguous copy. */
  copyInto(tensor: AnyTensor, placer: Placer): AnyTensor {
    const { dtype, label } = tensor;
    return this.elementwise.run(copyOperation, { inputs: [tensor], output: dtype, label }, placer);
  }

  /** A block's bytes of now, on the device. */
  readonly #snapshot = (block: DeviceAllocation): Snapshot => {
    // Before memory is taken for a copy that nobody makes any more.
    this.stream.requireDevice();
    const arena = this.arena(`snapshot of ${block.label}`);
    const { references } = block.table;
    // Who is told that memory is short may dispose it: not before it is copied. What ends right now has no
    // owner any more, and ends once.
    const isHeld = references[block.row]! > 0;
    if (isHeld) references[block.row]!++;
    try {
      const copy = arena.alloc({ byteLength: block.byteLength, label: block.label });
      requireAlive(block, block.region);
      this.copy(block, copy, block.byteLength);
      return { block: copy, end: () => arena.end() };
    } catch (error) {
      arena.end();
      throw error;
    } finally {
      if (isHeld && block.isAlive) block.region.free(block);
    }
  };

  numbers(dtype: DType, data: ArrayOf[DType]): number[] {
    return dtype === "float16" ? Array.from(data, float16ToNumber) : Array.from(data);
  }

  /** Destroys every GPU buffer. */
  close(error: MoorageError): void {
    this.#decay.stop();
    this.stream.flush();
    this.stream.lose(error);
    this.pinned.close();
    this.pool.close();
    this.#engine.ring.destroy();
    this.groups.clear();
  }
}

/** Whether a copy can take it as it is: contiguous, from a word on. */
function isReadable({ layout, dtype }: AnyTensor): boolean {
  const { isContiguous, offset } = layout;
  return isContiguous && (offset === 0 || (offset * dtypeInfo(dtype).bytes) % 4 === 0);
}
