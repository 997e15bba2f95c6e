/**
 * The command stream: the only place that talks to the queue. Dispatches are recorded into one long
 * compute pass, copies beside it, and all of it is submitted as a batch: on read, when the parameter
 * ring is full, when a scope ends, or at the end of the task.
 *
 *     record ─▶ [before: hoisted copies][main: pass, copy, pass …] ─ submit ─▶ queue, in order
 *
 * What overtakes the recording (a hoisted copy, `writeBuffer`) may only touch bytes that no work of
 * the open batch touches: each slab knows the last batch that used each of its pieces.
 */

import { DeviceError, KernelError, MoorageError } from "../host/errors.ts";
import { parameterWords } from "../shaders/binding.ts";
import type { BindGroups } from "./bind-groups.ts";
import type { BlockKey, BlockTable, DeviceAllocation } from "./block-table.ts";
import { HeldWork } from "./held-work.ts";
import type { Variant } from "./kernel.ts";
import type { Dispatch, Placement } from "./launch.ts";
import { Launcher } from "./launch.ts";
import type { ParameterRing } from "./parameter-ring.ts";
import { Pipelines } from "./pipelines.ts";
import type { SlabPool } from "./slab-pool.ts";
import type { Slab } from "./slab.ts";

export interface StreamParts {
  readonly device: GPUDevice;
  readonly ring: ParameterRing;
  readonly groups: BindGroups;
  readonly pool: SlabPool;
  readonly table: BlockTable;
  /** Told of failures that nobody may be waiting for. */
  readonly onError: (error: MoorageError) => void;
}

export class CommandStream {
  /**
   * Parameters of the next dispatch: an operation writes its own words from index `operands` on; the
   * stream fills in the operands' offsets before them.
   */
  readonly words = new Uint32Array(parameterWords);
  readonly floats = new Float32Array(this.words.buffer);
  readonly pipelines: Pipelines;
  /** Dispatches recorded so far. */
  dispatchCount = 0;
  /** Batches submitted so far. */
  submitCount = 0;
  readonly #parts: StreamParts;
  readonly #device: GPUDevice;
  readonly #ring: ParameterRing;
  readonly #table: BlockTable;
  readonly #launcher: Launcher;
  readonly #held: HeldWork;
  #before: GPUCommandEncoder | null = null;
  #main: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #pipeline: GPUComputePipeline | null = null;
  #group: GPUBindGroup | null = null;
  /** Serial of the open batch. */
  #batch = 1;
  #waiters: (() => void)[] = [];
  #isScheduled = false;
  #lost: MoorageError | null = null;
  readonly #ringOffset = new Uint32Array(1);

  constructor(parts: StreamParts) {
    this.#parts = parts;
    this.#device = parts.device;
    this.#ring = parts.ring;
    this.#table = parts.table;
    this.pipelines = new Pipelines(parts.device, parts.ring.layout);
    this.#launcher = new Launcher(
      parts.device,
      parts.table,
      parts.pool,
      this.pipelines,
      parts.groups,
    );
    this.#held = new HeldWork(() => this.#drained());
    parts.pool.onCreate = (_slab, settled) => this.#held.push(() => settled);
    parts.pool.settle = () => {
      this.flush();
      return !this.#held.isHolding;
    };
  }

  /** Refuses all further work with this error. */
  lose(error: MoorageError): void {
    this.#lost ??= error;
    this.#pass = null;
    this.#main = null;
    this.#before = null;
    this.#wake();
  }

  /** Throws the reason why there is no device any more. */
  requireDevice(): void {
    if (this.#lost !== null) throw this.#lost;
  }

  /** Why a block holds no value, if the work that should have written it failed. */
  failureOf(block: DeviceAllocation): MoorageError | null {
    if (this.#lost !== null) return this.#lost;
    if (this.#table.failures.size === 0) return null;
    return this.#table.failures.get(block.key) ?? null;
  }

  /** Records a dispatch; its own parameters are the first `wordCount` of {@link words}. O(operands). */
  dispatch(dispatch: Dispatch, wordCount: number): void {
    this.requireDevice();
    if (this.#held.isHolding) return this.#hold(dispatch, wordCount);
    if (
      this.#table.failures.size > 0 &&
      this.#inheritFailure(keysOf(dispatch), dispatch.kernel.inputCount)
    )
      return;
    const variant = this.#launcher.resolve(dispatch, null);
    if (variant.pipeline === null) return this.#hold(dispatch, wordCount);
    this.#encode(dispatch, variant, wordCount);
  }

  #encode(dispatch: Dispatch, variant: Variant, wordCount: number): void {
    if (this.#ring.used === this.#ring.capacity) this.#submit();
    const launcher = this.#launcher;
    for (let operand = 0; operand < dispatch.blocks.length; operand++) {
      this.words[operand] = launcher.elementOffsets[operand]!;
      launcher.slabs[operand]!.use(
        launcher.starts[operand]!,
        launcher.extents[operand]!,
        this.#batch,
      );
    }
    const pass = this.#openPass();
    const group = launcher.bindGroup();
    if (variant.pipeline !== this.#pipeline) {
      this.#pipeline = variant.pipeline;
      pass.setPipeline(variant.pipeline!);
    }
    if (launcher.dynamicCount > 0) {
      // The overload with a typed array: Chromium records it nine times faster than a plain array.
      pass.setBindGroup(0, group, launcher.dynamicOffsets, 0, launcher.dynamicCount);
      this.#group = null;
    } else if (group !== this.#group) {
      this.#group = group;
      pass.setBindGroup(0, group);
    }
    this.#writeParameters(wordCount);
    pass.setBindGroup(1, this.#ring.bindGroup, this.#ringOffset, 0, 1);
    pass.dispatchWorkgroups(dispatch.x, dispatch.y, dispatch.z);
    this.dispatchCount++;
  }

  #writeParameters(wordCount: number): void {
    const ring = this.#ring;
    const base = ring.used * ring.strideWords;
    for (let word = 0; word < wordCount; word++) ring.words[base + word] = this.words[word]!;
    this.#ringOffset[0] = ring.used * ring.strideBytes;
    ring.used++;
  }

  #openPass(): GPUComputePassEncoder {
    if (this.#pass !== null) return this.#pass;
    this.#pass = this.#openMain().beginComputePass({ label: `moorage pass ${this.#batch}` });
    return this.#pass;
  }

  #openMain(): GPUCommandEncoder {
    if (this.#main !== null) return this.#main;
    this.#main = this.#device.createCommandEncoder({ label: `moorage batch ${this.#batch}` });
    this.#schedule();
    return this.#main;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
    this.#group = null;
  }

  /** Keeps a dispatch with its parameters until what it waits for has settled. */
  #hold(dispatch: Dispatch, wordCount: number): void {
    const { kernel } = dispatch;
    const held: HeldDispatch = {
      dispatch,
      words: this.words.slice(0, wordCount),
      keys: keysOf(dispatch),
      placement: this.#launcher.locate(dispatch),
      site: kernel.isUserDefined ? new Error(`kernel "${kernel.label}" was run here`) : null,
    };
    this.#held.push(() => this.#encodeHeld(held));
  }

  #encodeHeld(held: HeldDispatch): Promise<void> | void {
    const { dispatch, words, keys, placement } = held;
    const { inputCount } = dispatch.kernel;
    if (this.#lost !== null || this.#inheritFailure(keys, inputCount)) return;
    const refused = placement.slabs.find(({ failure }) => failure !== null);
    if (refused !== undefined) {
      for (const key of keys.slice(inputCount)) this.#table.failures.set(key, refused.failure!);
      return;
    }
    this.words.set(words);
    const variant = this.#launcher.resolve(dispatch, placement);
    if (variant.pipeline === null) return this.#tryApart(held, variant);
    this.#encode(dispatch, variant, words.length);
  }

  /**
   * The first dispatch of a user's kernel under a binding shape: compiled and validated in a command
   * buffer of its own, so that a bad one discards no other work.
   */
  async #tryApart(held: HeldDispatch, variant: Variant): Promise<void> {
    const { dispatch, words, keys, placement, site } = held;
    const { label, inputCount } = dispatch.kernel;
    try {
      this.#submit();
      await this.pipelines.compile(variant);
      if (this.#lost !== null) return;
      this.words.set(words);
      this.#launcher.resolve(dispatch, placement);
      this.#device.pushErrorScope("validation");
      this.#encode(dispatch, variant, words.length);
      this.#submit();
      const failure = await this.#device.popErrorScope();
      if (failure !== null) throw validationError(label, failure);
    } catch (cause) {
      variant.pipeline = null;
      const error =
        cause instanceof MoorageError
          ? cause
          : new DeviceError("DEVICE_ERROR", `kernel "${label}" could not be tried`, {
              label,
              cause,
            });
      // The stack of the call that ran the kernel says more than that of this task.
      const frames = site?.stack?.split("\n").slice(1).join("\n") ?? "";
      error.stack = `${error.name}: ${error.message}\n${frames}`;
      for (const key of keys.slice(inputCount)) this.#table.failures.set(key, error);
      this.#parts.onError(error);
    }
  }

  /** Whether any input has failed; then the outputs have failed too. */
  #inheritFailure(keys: readonly BlockKey[], inputCount: number): boolean {
    const { failures } = this.#table;
    if (failures.size === 0) return false;
    const failure = keys.map((key) => failures.get(key)).find((error) => error !== undefined);
    if (failure === undefined) return false;
    for (const key of keys.slice(inputCount)) failures.set(key, failure);
    return true;
  }

  /** Copies host memory to a block, from a buffer. Hoisted before the batch where nothing forbids it. */
  copyFromBuffer(source: GPUBuffer, target: DeviceAllocation, byteLength: number): void {
    this.requireDevice();
    this.#copy(target, byteLength, false, (encoder, slab, offset) =>
      encoder.copyBufferToBuffer(source, 0, slab.buffer, offset, byteLength),
    );
  }

  /** Copies a block to a buffer. `byteOffset` and `byteLength` are multiples of 4. */
  copyToBuffer(
    source: DeviceAllocation,
    byteOffset: number,
    target: GPUBuffer,
    byteLength: number,
  ): CopyTicket {
    this.requireDevice();
    return this.#copy(source, byteLength, true, (encoder, slab, offset) =>
      encoder.copyBufferToBuffer(slab.buffer, offset + byteOffset, target, 0, byteLength),
    );
  }

  #copy(
    block: DeviceAllocation,
    byteLength: number,
    isRead: boolean,
    encode: (encoder: GPUCommandEncoder, slab: Slab, offset: number) => void,
  ): CopyTicket {
    const slab = this.#parts.pool.slab(this.#table.slab[block.row]!);
    const offset = this.#table.offset[block.row]!;
    const extent = this.#table.extent[block.row]!;
    const { key } = block;
    const ticket: CopyTicket = { failure: null };
    this.#whenFree(() => {
      ticket.failure = this.#lost ?? this.#table.failures.get(key) ?? slab?.failure ?? null;
      if (ticket.failure !== null) return;
      const canHoist = !isRead && !slab.isUsedBy(offset, byteLength, this.#batch);
      slab.use(offset, extent, this.#batch);
      if (canHoist) {
        encode(this.#openBefore(), slab, offset);
      } else {
        const main = this.#openMain();
        this.#endPass();
        encode(main, slab, offset);
      }
    });
    return ticket;
  }

  #openBefore(): GPUCommandEncoder {
    this.#before ??= this.#device.createCommandEncoder({ label: `moorage uploads ${this.#batch}` });
    this.#schedule();
    return this.#before;
  }

  /**
   * Writes `data` to a block through the queue. `writeBuffer` overtakes the open batch, so the batch
   * is submitted first if it touches the same memory. Lengths are multiples of 4.
   */
  write(target: DeviceAllocation, data: Uint8Array): void {
    this.requireDevice();
    const slab = this.#parts.pool.slab(this.#table.slab[target.row]!);
    const offset = this.#table.offset[target.row]!;
    // Held work runs later: by then the caller may have changed its array.
    const bytes = this.#held.isHolding ? data.slice() : data;
    this.#whenFree(() => {
      if (this.#lost !== null || slab === null || slab.failure !== null) return;
      if (slab.isUsedBy(offset, bytes.byteLength, this.#batch)) this.#submit();
      this.#device.queue.writeBuffer(slab.buffer, offset, bytes as Uint8Array<ArrayBuffer>);
    });
  }

  #whenFree(action: () => void): void {
    if (this.#held.isHolding) this.#held.push(action);
    else action();
  }

  /** Settles when everything recorded so far has been submitted; `urgent` asks for it now. */
  whenSubmitted(urgent: boolean): Promise<void> {
    if (this.#held.isHolding) {
      return new Promise((resolve) => {
        this.#held.push(() => {
          if (urgent) this.#submit();
          if (urgent || !this.#hasWork) resolve();
          else this.#waiters.push(resolve);
        });
      });
    }
    if (urgent) this.#submit();
    if (!this.#hasWork) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Submits what is recorded, unless it has to wait for a provisional slab. */
  flush(): void {
    if (!this.#held.isHolding) this.#submit();
  }

  get #hasWork(): boolean {
    return this.#before !== null || this.#main !== null;
  }

  #submit(): void {
    if (this.#hasWork && this.#lost === null) {
      this.#endPass();
      this.#ring.flush();
      const buffers: GPUCommandBuffer[] = [];
      if (this.#before !== null) buffers.push(this.#before.finish());
      if (this.#main !== null) buffers.push(this.#main.finish());
      this.#before = null;
      this.#main = null;
      this.#device.queue.submit(buffers);
      this.submitCount++;
      this.#batch++;
    }
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const resolve of waiters) resolve();
  }

  #drained(): void {
    // Failures of blocks that are gone were kept for the work that waited behind them.
    if (this.#table.failures.size > 0) this.#table.forgetFailures();
    if (this.#waiters.length > 0) this.#submit();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    afterThisTask(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }
}

function keysOf({ blocks }: Dispatch): BlockKey[] {
  return blocks.map((block) => block.key);
}

/** A dispatch that waits, with everything that may have changed by the time it runs. */
interface HeldDispatch {
  readonly dispatch: Dispatch;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly keys: readonly BlockKey[];
  readonly placement: Placement;
  /** Where a user's kernel was run. */
  readonly site: Error | null;
}

/** The outcome of a copy, known when the copy has been submitted. */
export interface CopyTicket {
  /** Why nothing was copied. */
  failure: MoorageError | null;
}

function validationError(label: string, cause: GPUError): KernelError {
  return new KernelError(
    "KERNEL_VALIDATION",
    `the device refused the dispatch of kernel "${label}": ${cause.message}`,
    {
      label,
      cause,
    },
  );
}

/** Runs `action` after the running task, so that one batch holds what a task recorded. */
function afterThisTask(action: () => void): void {
  // Node's setImmediate does not wait for a timer's millisecond; browsers have none.
  if (typeof setImmediate === "function") setImmediate(action);
  else setTimeout(action, 0);
}
