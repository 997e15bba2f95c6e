/** The runtime: one device, its memory regions, and everything that can be done with them. */

import type { Diagnostics } from "../host/diagnostics/diagnostics.ts";
import type { DType } from "../host/dtype.ts";
import { DeviceError, InvalidArgumentError } from "../host/errors.ts";
import type { MoorageError } from "../host/errors.ts";
import type { GeneralHeap } from "../host/general/general-heap.ts";
import type { PinnedHeap } from "../host/pinned/pinned-heap.ts";
import { checkRequest } from "../host/region.ts";
import { checkedBudget } from "./budget.ts";
import { DeviceContext } from "./context.ts";
import type { Placer } from "./executor.ts";
import { GrowableTensor } from "./growable-tensor.ts";
import type { GrowableOptions } from "./growable-tensor.ts";
import { lend, wrap } from "./interop.ts";
import type { BindingLease, WrapOptions } from "./interop.ts";
import { involvedTensors } from "./involved.ts";
import { liveAllocations } from "./live-allocations.ts";
import type { LiveAllocation } from "./live-allocations.ts";
import { compact } from "./memory/compaction.ts";
import type { CompactionResult } from "./memory/compaction.ts";
import type { StorageReport } from "./memory/device-heap.ts";
import type { DevicePressureListener } from "./memory/ladder.ts";
import { browserAdapter, openDevice } from "./open-device.ts";
import { collectStats, formatReport } from "./report.ts";
import type { RuntimeStats } from "./report.ts";
import { restore, Restoring } from "./restore.ts";
import type { RestoreResult } from "./restore.ts";
import { guarded, logError, warnOfLeaks } from "./runtime-callbacks.ts";
import { disposedError } from "./runtime-ended.ts";
import { checkOptions } from "./runtime-options.ts";
import type { RuntimeOptions } from "./runtime-options.ts";
import { runScope } from "./scope.ts";
import type { ScopeBody, ScopeOptions } from "./scope.ts";
import type { Tensor, TensorInput } from "./tensor.ts";
import { TransferOperations } from "./transfer-operations.ts";

/** Runtimes that have not been disposed: see {@link openRuntimes}. */
const open = new Set<Runtime>();

/** Runtimes that are open now. A program that ends with any of them forgot `dispose()`. */
export function openRuntimes(): readonly Runtime[] {
  return [...open];
}

/**
 * Opens a runtime: on the given device or adapter, else on the browser's. Rejects with `NO_WEBGPU` or
 * `NO_ADAPTER`, which say what to do. In Node use `moorage/node`.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  checkOptions(options);
  const label = options.label ?? "moorage";
  const { adapter, powerPreference } = options;
  const requestAdapter =
    options.requestAdapter ??
    (() => browserAdapter(powerPreference === undefined ? {} : { powerPreference }));
  const reopen = async (): Promise<GPUDevice> => await openDevice(await requestAdapter(), label);
  if (options.device !== undefined) {
    return await measured(new Runtime(options.device, label, options, reopen), options);
  }
  // Before a device is opened: an adapter gives only one.
  checkedBudget(options);
  const device = await openDevice(adapter ?? (await requestAdapter()), label);
  let runtime: Runtime;
  try {
    runtime = new Runtime(device, label, options, reopen);
  } catch (error) {
    device.destroy();
    throw error;
  }
  return await measured(runtime, options);
}

async function measured(runtime: Runtime, { uploads }: RuntimeOptions): Promise<Runtime> {
  if (uploads !== "measure") return runtime;
  try {
    await runtime.measureUploads();
    return runtime;
  } catch (error) {
    await runtime.dispose();
    throw error;
  }
}

/** One device and its memory. Operations called on it put their results on the device heap. */
export class Runtime extends TransferOperations implements AsyncDisposable {
  readonly label: string;
  /** Mapped staging memory: `rt.pinned.tensor({ shape, dtype, label })`. */
  readonly pinned: PinnedHeap;
  /** Host memory that ends by itself, and moves at safe points: `rt.general.alloc({ byteLength })`. */
  readonly general: GeneralHeap;
  /** What lives since when and from where, and the latest events; null unless it was asked for. */
  readonly diagnostics: Diagnostics | null;
  #lost: Promise<MoorageError>;
  #ownsDevice: boolean;
  readonly #open: () => Promise<GPUDevice>;
  readonly #restoring = new Restoring();
  readonly #options: RuntimeOptions;
  readonly #onUncaptured: (event: GPUUncapturedErrorEvent) => void;
  #disposed: Promise<void> | null = null;

  /** @internal */
  constructor(
    device: GPUDevice,
    label: string,
    options: RuntimeOptions,
    reopen: () => Promise<GPUDevice>,
  ) {
    const onError = guarded(options.onError ?? logError);
    super(
      new DeviceContext({
        device,
        label,
        budget: checkedBudget(options),
        slabBytes: options.slabBytes,
        idleMs: options.idleMs,
        strict: options.strict,
        diagnostics: options.diagnostics,
        debug: options.debug === true ? {} : options.debug === false ? undefined : options.debug,
        onError,
        uploads: options.uploads === "measure" ? undefined : options.uploads,
        waiting: options.waiting,
      }),
    );
    this.label = label;
    this.#open = reopen;
    this.pinned = this.context.pinned;
    this.general = this.context.general;
    this.diagnostics = this.context.diagnostics;
    this.#options = options;
    this.#ownsDevice = options.device === undefined;
    this.#onUncaptured = (event) => {
      event.preventDefault();
      const { message } = event.error;
      const tensors = involvedTensors(this.context, message);
      const about = tensors === "" ? "" : ` (in memory of ${tensors})`;
      onError(
        new DeviceError("DEVICE_ERROR", `the device reported${about}: ${message}`, {
          label,
          cause: event.error,
        }),
      );
    };
    this.#lost = this.#watch(device);
    open.add(this);
  }

  /** The device, for what Moorage does not do. Its queue sees Moorage's work only once submitted. */
  get device(): GPUDevice {
    return this.context.device;
  }

  /**
   * Settles with the reason when the device is lost; never where the runtime is disposed first. After
   * {@link restore} it is another promise, of the new device.
   */
  get lost(): Promise<MoorageError> {
    return this.#lost;
  }

  #watch(device: GPUDevice): Promise<MoorageError> {
    // A foreign device keeps its own handlers; its owner hears of errors there.
    if (this.#ownsDevice) device.addEventListener("uncapturederror", this.#onUncaptured);
    const { promise, resolve } = deferred<MoorageError>();
    // Weak, so that a runtime that nobody holds any more can be collected.
    const weak = new WeakRef(this);
    void device.lost.then((info) => Runtime.#tell(weak.deref(), info, resolve));
    return promise;
  }

  static #tell(
    runtime: Runtime | undefined,
    info: GPUDeviceLostInfo,
    resolve: (error: MoorageError) => void,
  ): void {
    if (runtime !== undefined) runtime.#lose(info, resolve);
  }

  #lose(info: GPUDeviceLostInfo, resolve: (error: MoorageError) => void): void {
    if (this.#disposed !== null) return;
    const error = new DeviceError(
      "DEVICE_LOST",
      `the device of runtime "${this.label}" was lost (${info.reason}): ${info.message || "no reason given"}; ` +
        "restore() goes on with another device, and gives back what has a source on the host",
      { label: this.label, cause: info },
    );
    this.context.stream.lose(error);
    resolve(error);
    (this.#options.onLost ?? logError)(error);
  }

  /**
   * After a loss: goes on with another device, given or opened as the first was. Handles stay good.
   * Tensors that were made with a `source` have their elements again, unless the device had written them
   * since; others reject reads with `DEVICE_LOST` until they are written. Pinned tensors are lost. Rejects
   * where no device is to be had, and may be called again then.
   */
  restore(device?: GPUDevice): Promise<RestoreResult> {
    return this.#restoring.next(this.context.stream.isLost, () => this.#restore(device));
  }

  async #restore(given: GPUDevice | undefined): Promise<RestoreResult> {
    if (this.#disposed !== null) throw disposedError(this.label);
    if (!this.context.stream.isLost) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `runtime "${this.label}" has not lost its device, and there is nothing to restore; await lost, or onLost`,
        { label: this.label },
      );
    }
    const device = given ?? (await this.#open());
    await this.context.readbacks.staging.settled();
    // As it may be by now.
    if (this.isDisposed) {
      if (given === undefined) device.destroy();
      throw disposedError(this.label);
    }
    this.#ownsDevice = given === undefined;
    const restored = restore(this.context, device);
    this.#lost = this.#watch(device);
    this.#restoring.reconnected();
    return await restored;
  }

  get isDisposed(): boolean {
    return this.#disposed !== null;
  }

  /** @internal */
  protected override placer(): Placer {
    if (this.#disposed !== null) throw disposedError(this.label);
    this.context.stream.requireDevice();
    return this.context.heap;
  }

  /**
   * Runs `body` in a scope: what it makes is gone when it settles. Survives `await`; scopes may
   * overlap in time. Only plain values may be returned, and tensors that were kept.
   */
  scope<R>(body: ScopeBody<R>, options: ScopeOptions = {}): Promise<R> {
    return runScope(this.context, body, options);
  }

  /** A tensor that grows along one axis: `append` costs what is appended. See {@link GrowableTensor}. */
  growable<D extends DType>(options: GrowableOptions<D>): GrowableTensor<D> {
    this.placer();
    return new GrowableTensor(this.context, options);
  }

  /**
   * Lends a tensor's memory to code that uses the device itself, as a binding. See {@link BindingLease}:
   * dispose it once what uses it is submitted.
   */
  async lend(tensor: TensorInput): Promise<BindingLease> {
    this.context.stream.requireDevice();
    return await lend(this.context, this.context.executor.own(tensor));
  }

  /** A `GPUBuffer` of this device that somebody else owns, as a tensor: no copy is made. */
  wrap<D extends DType>(buffer: GPUBuffer, options: WrapOptions<D>): Tensor<D> {
    this.placer();
    return wrap(this.context, buffer, options);
  }

  /** Makes sure that `byteLength` bytes of device memory can be allocated at once from now on. */
  async reserve(byteLength: number): Promise<void> {
    this.context.stream.requireDevice();
    checkRequest({ byteLength, label: "reserve" }, this.context.heap.label);
    await this.context.pool.reserve(byteLength);
  }

  /** Submits what is recorded. Reading does it too, and so does the end of the task. */
  flush(): void {
    this.context.stream.flush();
  }

  /** Settles when the device has done everything recorded so far. Rejects with `DEVICE_LOST`. */
  async sync(): Promise<void> {
    const { stream } = this.context;
    stream.requireDevice();
    await stream.whenSubmitted(true);
    await this.context.whenDone();
    if (stream.loss !== null) throw stream.loss;
  }

  /**
   * Moves tensors together, so that whole slabs become empty, and gives those back. Moves about
   * `maxBytes` at most: call it again until `movedBytes` is 0. Tensors stay usable meanwhile.
   */
  async compact(options: { readonly maxBytes?: number } = {}): Promise<CompactionResult> {
    const { stream, mover, pool } = this.context;
    stream.requireDevice();
    // What waits has its places already.
    while (stream.isHolding) await stream.whenSubmitted(true);
    const result = compact(mover, options.maxBytes);
    pool.trim();
    return result;
  }

  /**
   * Told when a soft budget is passed, and before a request for device memory or a pinned tensor is
   * refused: what the listener disposes may serve it. Returns the function that takes the listener away.
   */
  onPressure(listener: DevicePressureListener): () => void {
    return this.context.pool.ladder.listen(listener);
  }

  /** Free device memory, and how it is cut up. O(free ranges). */
  storage(): StorageReport {
    return this.context.heap.storage();
  }

  /**
   * Gives unused memory back to the platform: slabs, after what is left of them has been moved together
   * (unless work waits, which has its places already), pooled buffers and host pages. Submits recorded
   * work. O(live), and a copy on the device of what moves.
   */
  trim(): void {
    const { stream, mover, pool } = this.context;
    if (!stream.isLost && !stream.isHolding) compact(mover);
    pool.trim();
    this.context.pinned.trim(0);
    this.context.hotPages.trim(0);
    this.context.general.trim();
  }

  /** The statistics of every region at this instant. O(slabs). */
  stats(): RuntimeStats {
    this.context.advisor?.readStatistics();
    return collectStats(this.context);
  }

  /** Every live tensor and pinned buffer, by label. */
  live(): LiveAllocation[] {
    return liveAllocations(this.context);
  }

  /** The statistics as a table for people, with every live allocation by label. */
  report(): string {
    return formatReport(this.stats(), this.live());
  }

  /**
   * Waits for the device, says what was never disposed, and frees everything. Afterwards every use
   * throws `RUNTIME_DISPOSED`. Twice is harmless.
   */
  dispose(): Promise<void> {
    this.#disposed ??= this.#close();
    return this.#disposed;
  }

  async #close(): Promise<void> {
    open.delete(this);
    const reason = disposedError(this.label);
    if (!this.context.stream.isLost) this.context.table.takeRest();
    this.context.stream.close(reason);
    try {
      await this.context.stream.whenSubmitted(true);
      // A chunk that nobody has written into would be waited for.
      this.context.belt.close();
      await this.context.whenDone();
      await this.context.readbacks.staging.settled();
      await this.pinned.settled();
    } catch {
      // A lost device has nothing to wait for; what it held goes below.
    }
    this.context.belt.close();
    this.context.advisor?.runtimeEnds(this.label);
    const leaks = this.live();
    this.context.close(reason);
    this.device.removeEventListener("uncapturederror", this.#onUncaptured);
    if (this.#ownsDevice) this.device.destroy();
    if (leaks.length > 0) (this.#options.onLeak ?? warnOfLeaks)(leaks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  override toString(): string {
    return `Runtime "${this.label}" (${this.isDisposed ? "disposed" : `${this.live().length} live allocations`})`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
