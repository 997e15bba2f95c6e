/** The runtime: one device, its memory regions, and everything that can be done with them. */

import type { AdvisorOptions } from "../host/diagnostics/advisor.ts";
import type { Diagnostics, DiagnosticsOptions } from "../host/diagnostics/diagnostics.ts";
import { DeviceError, InvalidArgumentError } from "../host/errors.ts";
import type { MoorageError } from "../host/errors.ts";
import type { GeneralHeap } from "../host/general/general-heap.ts";
import type { PinnedHeap } from "../host/pinned-heap.ts";
import { checkRequest } from "../host/region.ts";
import { MiB } from "../host/units.ts";
import { DeviceContext } from "./context.ts";
import type { Budget } from "./context.ts";
import type { Placer } from "./executor.ts";
import { browserAdapter, openDevice } from "./open-device.ts";
import { Operations } from "./operations.ts";
import { collectStats, formatReport, liveAllocations } from "./report.ts";
import type { LiveAllocation, RuntimeStats } from "./report.ts";
import { runScope } from "./scope.ts";
import type { ScopeBody, ScopeOptions } from "./scope.ts";
import { parameterRingBytes } from "./stream/parameter-ring.ts";

export interface RuntimeOptions {
  /** Names the runtime in errors and reports. */
  readonly label?: string;
  /** Adopts a device that somebody else owns: it is never destroyed by the runtime. */
  readonly device?: GPUDevice;
  /** Opens the device from this adapter. */
  readonly adapter?: GPUAdapter;
  /** Which adapter to ask the browser for. */
  readonly powerPreference?: GPUPowerPreference;
  /** Bounds in bytes: see {@link Budget} for the defaults. */
  readonly budget?: Partial<Budget>;
  /** Bytes of an ordinary slab; default 4 MiB. */
  readonly slabBytes?: number;
  /**
   * The end of a scope detaches its host memory, so that a raw array kept by mistake has length 0 and
   * never shows another scope's bytes. Some microseconds a page; default false.
   */
  readonly strict?: boolean;
  /** Follows every allocation: see {@link Runtime.diagnostics}. Off where absent; `{}` for the defaults. */
  readonly diagnostics?: DiagnosticsOptions;
  /** Warns once of each habit that costs memory, by label: see {@link AdviceKind}. Default false. */
  readonly debug?: boolean | AdvisorOptions;
  /** Told of errors that nobody may be waiting for; default: `console.error`. */
  readonly onError?: (error: MoorageError) => void;
  /** Told once when the device is lost, unless the runtime was disposed; default: `console.error`. */
  readonly onLost?: (error: MoorageError) => void;
  /** Told at the end of what was never disposed; default: a warning on the console. */
  readonly onLeak?: (leaks: readonly LiveAllocation[]) => void;
}

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
  const label = options.label ?? "moorage";
  if (options.device !== undefined) return new Runtime(options.device, label, options);
  // Before a device is opened: an adapter gives only one.
  checkedBudget(options);
  const { adapter, powerPreference } = options;
  const chosen =
    adapter ?? (await browserAdapter(powerPreference === undefined ? {} : { powerPreference }));
  const device = await openDevice(chosen, label);
  try {
    return new Runtime(device, label, options);
  } catch (error) {
    device.destroy();
    throw error;
  }
}

/** One device and its memory. Operations called on it put their results on the device heap. */
export class Runtime extends Operations implements AsyncDisposable {
  readonly label: string;
  /** The device, for what Moorage does not do. Its queue sees Moorage's work only once submitted. */
  readonly device: GPUDevice;
  /** Mapped staging memory: `rt.pinned.tensor({ shape, dtype, label })`. */
  readonly pinned: PinnedHeap;
  /** Host memory that ends by itself, and moves at safe points: `rt.general.alloc({ byteLength })`. */
  readonly general: GeneralHeap;
  /** What lives since when and from where, and the latest events; null unless it was asked for. */
  readonly diagnostics: Diagnostics | null;
  /** Settles with the reason when the device is lost; never where the runtime is disposed first. */
  readonly lost: Promise<MoorageError>;
  readonly #ownsDevice: boolean;
  readonly #options: RuntimeOptions;
  readonly #onUncaptured: (event: GPUUncapturedErrorEvent) => void;
  #disposed: Promise<void> | null = null;

  /** @internal */
  constructor(device: GPUDevice, label: string, options: RuntimeOptions) {
    const onError = guarded(options.onError ?? logError);
    super(
      new DeviceContext({
        device,
        label,
        budget: checkedBudget(options),
        slabBytes: options.slabBytes,
        strict: options.strict,
        diagnostics: options.diagnostics,
        debug: options.debug === true ? {} : options.debug === false ? undefined : options.debug,
        onError,
      }),
    );
    this.device = device;
    this.label = label;
    this.pinned = this.context.pinned;
    this.general = this.context.general;
    this.diagnostics = this.context.diagnostics;
    this.#options = options;
    this.#ownsDevice = options.device === undefined;
    this.#onUncaptured = (event) => {
      event.preventDefault();
      const { message } = event.error;
      onError(
        new DeviceError("DEVICE_ERROR", `the device reported: ${message}`, {
          label,
          cause: event.error,
        }),
      );
    };
    // A foreign device keeps its own handlers; its owner hears of errors there.
    if (this.#ownsDevice) device.addEventListener("uncapturederror", this.#onUncaptured);
    const { promise, resolve } = deferred<MoorageError>();
    this.lost = promise;
    // Weak, so that a runtime that nobody holds any more can be collected.
    const weak = new WeakRef(this);
    void device.lost.then((info) => Runtime.#tell(weak.deref(), info, resolve));
    open.add(this);
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
        "its tensors are gone: dispose this runtime, create a new one, and upload again",
      { label: this.label, cause: info },
    );
    this.context.stream.lose(error);
    resolve(error);
    (this.#options.onLost ?? logError)(error);
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

  /** Settles when the device has done everything recorded so far. */
  async sync(): Promise<void> {
    this.context.stream.requireDevice();
    await this.context.stream.whenSubmitted(true);
    await this.device.queue.onSubmittedWorkDone();
  }

  /** Gives unused memory back to the platform: empty slabs, pooled buffers, host pages. */
  trim(): void {
    this.context.pool.trim();
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
    this.context.stream.close(reason);
    try {
      await this.context.stream.whenSubmitted(true);
      await this.device.queue.onSubmittedWorkDone();
      await this.context.transfers.settled();
      await this.pinned.settled();
    } catch {
      // A lost device has nothing to wait for; what it held goes below.
    }
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

/** A callback whose own failure ends no operation of the runtime: it is thrown in a task apart. */
function guarded(callback: (error: MoorageError) => void): (error: MoorageError) => void {
  return (error) => {
    try {
      callback(error);
    } catch (failure) {
      queueMicrotask(() => {
        throw failure;
      });
    }
  };
}

function disposedError(label: string): DeviceError {
  return new DeviceError(
    "RUNTIME_DISPOSED",
    `runtime "${label}" was disposed; dispose it after its last use, or create another`,
    { label },
  );
}

/** The budget with its defaults; throws `INVALID_ARGUMENT` for options that cannot be right. */
function checkedBudget({ budget = {}, slabBytes = 1 }: RuntimeOptions): Budget {
  if (!(Number.isSafeInteger(slabBytes) && slabBytes > 0)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `slabBytes is ${slabBytes}; a slab has a positive integer of bytes`,
    );
  }
  const names = ["deviceBytes", "pinnedBytes", "hotBytes", "generalBytes", "totalBytes"];
  for (const [name, bytes] of Object.entries(budget)) {
    if (!names.includes(name)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `budget has no ${name}; it has ${names.join(", ")}`,
      );
    }
    if (bytes === undefined || (Number.isFinite(bytes) && bytes > 0)) continue;
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `budget.${name} is ${bytes}; a budget is a positive number of bytes`,
    );
  }
  const { totalBytes = Infinity } = budget;
  // Slabs must leave room for staging: where only the total is given, a quarter of it.
  const pinnedBytes = budget.pinnedBytes ?? Math.min(512 * MiB, Math.floor(totalBytes / 4));
  const forSlabs = Math.max(1, totalBytes - pinnedBytes - parameterRingBytes);
  const deviceBytes = budget.deviceBytes ?? Math.min(2048 * MiB, forSlabs);
  return {
    deviceBytes,
    pinnedBytes,
    hotBytes: budget.hotBytes ?? 1024 * MiB,
    generalBytes: budget.generalBytes ?? 1024 * MiB,
    totalBytes: Math.min(totalBytes, deviceBytes + pinnedBytes + parameterRingBytes),
  };
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

// The defaults for what a program must not miss; each can be replaced.
function logError(error: MoorageError): void {
  console.error(error);
}

function warnOfLeaks(leaks: readonly LiveAllocation[]): void {
  const list = leaks.map(
    ({ label, region, byteLength }) => `"${label}" (${byteLength} bytes, ${region})`,
  );
  console.warn(`moorage: ${leaks.length} never disposed: ${list.join(", ")}`);
}
