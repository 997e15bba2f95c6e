/**
 * The command stream: the only way to the queue. Dispatches are recorded into one long compute pass,
 * copies beside it, and all of it is submitted as a batch: on read, when the parameter ring is full,
 * or at the end of the task. Work that has to wait for the platform is held back, in order.
 *
 *     record ─▶ [before: hoisted copies][main: pass, copy, pass …] ─ submit ─▶ queue, in order
 *
 * What overtakes the recording (a hoisted copy, `writeBuffer`) may only touch bytes that no work of
 * the open batch touches: each slab knows the last batch that used each of its pieces.
 */

import { DeviceError, MoorageError } from "../../host/errors.ts";
import { requireAlive } from "../../host/region.ts";
import { parameterWords } from "../../shaders/binding.ts";
import type { BlockKey, BlockTable, DeviceAllocation } from "../memory/block-table.ts";
import type { SlabPool } from "../memory/slab-pool.ts";
import type { Waits } from "../waiting/waits.ts";
import { afterThisTask } from "./after-task.ts";
import type { BindGroups } from "./bind-groups.ts";
import { Copies } from "./copies.ts";
import { HeldWork, validationError } from "./held-work.ts";
import type { HeldDispatch } from "./held-work.ts";
import type { Variant } from "./kernel.ts";
import type { Dispatch } from "./launch.ts";
import { Launcher } from "./launch.ts";
import type { ParameterRing } from "./parameter-ring.ts";
import { Pipelines } from "./pipelines.ts";
import { Recorder } from "./recorder.ts";

export interface StreamParts {
  readonly device: GPUDevice;
  readonly ring: ParameterRing;
  readonly groups: BindGroups;
  readonly pool: SlabPool;
  readonly table: BlockTable;
  readonly waits: Waits;
  /** Told of failures that nobody has read. */
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
  readonly #device: GPUDevice;
  readonly #table: BlockTable;
  readonly #launcher: Launcher;
  readonly #recorder: Recorder;
  readonly #held: HeldWork;
  /** Copies and writes, in stream order or around it. */
  readonly copies: Copies;
  /** Told after a task that recorded something. */
  onEndOfTask: () => void = () => {};
  #waiters: (() => void)[] = [];
  #isScheduled = false;
  #lost: MoorageError | null = null;
  #closed: MoorageError | null = null;

  constructor(parts: StreamParts) {
    this.#device = parts.device;
    this.#table = parts.table;
    this.pipelines = new Pipelines(parts.device, parts.ring.layout, parts.waits);
    this.#launcher = new Launcher(
      parts.device,
      parts.table,
      parts.pool,
      this.pipelines,
      parts.groups,
    );
    this.#recorder = new Recorder(parts.device, parts.ring, this.#launcher, this.words, () =>
      this.schedule(),
    );
    this.#held = new HeldWork(() => this.#drained());
    this.copies = new Copies({
      device: parts.device,
      table: parts.table,
      pool: parts.pool,
      recorder: this.#recorder,
      held: this.#held,
      requireDevice: () => this.requireDevice(),
      lost: () => this.#lost,
      submit: () => this.#submit(),
    });
    parts.table.onUnobserved = parts.onError;
    parts.pool.onCreate = (_slab, settled) => this.hold(settled);
    parts.pool.settle = () => {
      // What waits for a slab to exist keeps no other slab: unless something is to be done there.
      if (this.#held.hasWork) return false;
      this.#submit();
      return true;
    };
  }

  /** Whether recorded work waits: for a provisional slab, or behind the first run of a user's kernel. */
  get isHolding(): boolean {
    return this.#held.isHolding;
  }

  /** Whether anything of what waits touches memory. */
  get hasHeldWork(): boolean {
    return this.#held.hasWork;
  }

  /** Holds back what is recorded from now on until `settled` has settled. */
  hold(settled: Promise<void>): void {
    this.#held.wait(() => settled);
  }

  /** Dispatches recorded so far. */
  get dispatchCount(): number {
    return this.#recorder.dispatchCount;
  }

  /** Batches submitted so far. */
  get submitCount(): number {
    return this.#recorder.submitCount;
  }

  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Why no work is done any more. */
  get loss(): MoorageError | null {
    return this.#lost;
  }

  /** Refuses all further work with this error. */
  lose(error: MoorageError): void {
    this.#lost ??= error;
    // It is told by itself, not once for each tensor.
    this.#table.observe(error);
    this.#recorder.abandon();
    this.#wake();
  }

  /** Refuses new work with this error; what is recorded is still done. */
  close(error: MoorageError): void {
    this.#closed ??= error;
  }

  /** Throws the reason why no work is taken any more. */
  requireDevice(): void {
    if (this.#lost !== null) throw this.#lost;
    if (this.#closed !== null) throw this.#closed;
  }

  /** Why a block holds no value, if the work that should have written it failed. */
  failureOf(block: DeviceAllocation): MoorageError | null {
    if (this.#lost !== null) return this.#lost;
    if (this.#table.failures.size === 0) return null;
    return this.#table.failures.get(block.key) ?? null;
  }

  /** Notes that a block holds no value, whatever was recorded for it so far. */
  fail(key: BlockKey, failure: MoorageError): void {
    const fail = (): void => void this.#table.failures.set(key, failure);
    if (this.#held.isHolding) this.#held.push(fail);
    else fail();
  }

  /** What is recorded so far may still fail: then a block that shares another's memory has failed too. */
  passFailure(from: BlockKey, to: BlockKey): void {
    const pass = (): void => {
      const failure = this.#table.failures.get(from);
      if (failure !== undefined) this.#table.failures.set(to, failure);
    };
    if (this.#held.isHolding) this.#held.push(pass);
    else pass();
  }

  /** Records a dispatch; its own parameters are the first `wordCount` of {@link words}. O(operands). */
  dispatch(dispatch: Dispatch, wordCount: number): void {
    this.requireDevice();
    const { blocks, kernel } = dispatch;
    // Who takes the rest of what is overwritten may have to dispatch a copy, with parameters of its own, and
    // to make room, where a listener may dispose anything.
    const words = this.#table.hasReaders ? this.words.slice(0, wordCount) : null;
    for (let output = kernel.inputCount; output < blocks.length; output++) {
      this.#table.willChange(blocks[output]!.key);
    }
    if (words !== null) {
      this.words.set(words);
      for (const block of blocks) requireAlive(block, block.region);
    }
    if (this.#held.isHolding) return this.#hold(dispatch, wordCount);
    if (
      this.#table.failures.size > 0 &&
      this.#inheritFailure(keysOf(dispatch), dispatch.kernel.inputCount)
    )
      return;
    const variant = this.#launcher.resolve(dispatch, null);
    if (variant.pipeline === null) return this.#hold(dispatch, wordCount);
    this.#recorder.dispatch(dispatch, variant, wordCount);
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
    this.#recorder.dispatch(dispatch, variant, words.length);
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
      this.#recorder.dispatch(dispatch, variant, words.length);
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

  /** Settles when everything recorded so far has been submitted; `urgent` asks for it now. */
  whenSubmitted(urgent: boolean): Promise<void> {
    if (this.#held.isHolding) {
      return new Promise((resolve) => {
        this.#held.wait(() => {
          if (urgent) this.#submit();
          if (urgent || !this.#recorder.hasWork) resolve();
          else this.#waiters.push(resolve);
        });
      });
    }
    if (urgent) this.#submit();
    if (!this.#recorder.hasWork) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** @internal Who has to unmap something before a batch is submitted, and may map it again afterwards. */
  aroundSubmit(before: () => void, after: () => void): void {
    this.#recorder.beforeSubmit = before;
    this.#recorder.afterSubmit = after;
  }

  /** Submits what is recorded, unless it has to wait for a provisional slab. */
  flush(): void {
    if (!this.#held.isHolding) this.#submit();
  }

  #submit(): void {
    // Also where nothing is recorded: what was to be copied may have failed before.
    this.#recorder.beforeSubmit();
    if (this.#lost === null) this.#recorder.submit();
    this.#recorder.afterSubmit();
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
    // The end of the task may have passed while work was held.
    this.#submit();
  }

  readonly #endOfTask = (): void => {
    this.#isScheduled = false;
    this.flush();
    this.onEndOfTask();
  };

  /** @internal Flushes at the end of the running task. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // A read submits what it records at once: then there is nothing left to ask a task for.
    queueMicrotask(() => {
      if (this.#recorder.hasWork || this.isHolding) afterThisTask(this.#endOfTask);
      else this.#endOfTask();
    });
  }
}

function keysOf({ blocks }: Dispatch): BlockKey[] {
  return blocks.map((block) => block.key);
}
