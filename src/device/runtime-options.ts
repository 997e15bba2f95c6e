/** How a runtime is set up. */

import type { AdvisorOptions } from "../host/diagnostics/advisor.ts";
import type { DiagnosticsOptions } from "../host/diagnostics/diagnostics.ts";
import { InvalidArgumentError } from "../host/errors.ts";
import type { MoorageError } from "../host/errors.ts";
import type { Budget } from "./budget.ts";
import type { LiveAllocation } from "./live-allocations.ts";
import type { UploadPlan, UploadWay } from "./transfer/upload-ways.ts";

export interface RuntimeOptions {
  /** Names the runtime in errors and reports. */
  readonly label?: string;
  /** Adopts a device that somebody else owns: it is never destroyed by the runtime. */
  readonly device?: GPUDevice;
  /** Opens the device from this adapter. */
  readonly adapter?: GPUAdapter;
  /** Where adapters come from, at first and after a loss; default: the browser's, or Dawn's in Node. */
  readonly requestAdapter?: () => Promise<GPUAdapter>;
  /** Which adapter to ask the browser for. */
  readonly powerPreference?: GPUPowerPreference;
  /** Bounds in bytes: see {@link Budget} for the defaults. */
  readonly budget?: Partial<Budget>;
  /** Bytes of an ordinary slab; default 4 MiB. */
  readonly slabBytes?: number;
  /**
   * Which way arrays are uploaded, by size: what `measureUploads()` returned on this machine, one way for
   * all, or `measure` to look before the runtime is there. Default: what this process has measured of
   * the adapter, else the queue.
   */
  readonly uploads?: UploadPlan | UploadWay | "measure";
  /**
   * How the device is waited for. `platform`: as the platform does it; in Firefox the device is nudged.
   * `sleep`: for Dawn in Node, which else spends a core on asking; waits of more than a millisecond sleep
   * in between, and the thread with them, for 2 % of the time waited, 1 ms at most. Default: `sleep` in
   * `moorage/node`, else `platform`; where a thread may not sleep, `sleep` is `platform`.
   */
  readonly waiting?: "platform" | "sleep";
  /**
   * Empty slabs and pooled staging that nobody has used for so many milliseconds go back to the platform.
   * Default 10,000; `Infinity` keeps them until `trim()`.
   */
  readonly idleMs?: number;
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

const known: { readonly [N in keyof Required<RuntimeOptions>]: true } = {
  label: true,
  device: true,
  adapter: true,
  requestAdapter: true,
  powerPreference: true,
  budget: true,
  slabBytes: true,
  uploads: true,
  waiting: true,
  idleMs: true,
  strict: true,
  diagnostics: true,
  debug: true,
  onError: true,
  onLost: true,
  onLeak: true,
};

/** Throws `INVALID_ARGUMENT` for options that cannot be right, before anything is opened. */
export function checkOptions(options: RuntimeOptions): void {
  const problem = (what: string): InvalidArgumentError =>
    new InvalidArgumentError("INVALID_ARGUMENT", what);
  for (const name of Object.keys(options)) {
    if (!(name in known))
      throw problem(`${name} is no option of a runtime; it has ${Object.keys(known).join(", ")}`);
  }
  const { waiting, idleMs } = options;
  if (waiting !== undefined && waiting !== "platform" && waiting !== "sleep")
    throw problem(`waiting is ${JSON.stringify(waiting)}; it can be "platform" or "sleep"`);
  if (idleMs !== undefined && !(idleMs >= 0))
    throw problem(`idleMs is ${idleMs}; give milliseconds from 0 on, or Infinity`);
}
