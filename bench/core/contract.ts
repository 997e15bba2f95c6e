/**
 * What a case, a contestant and a prepared piece of work promise each other. A case says what is
 * computed and what is right; a contestant says how; the harness alone reads the clock.
 */

export type Suite =
  | "alloc"
  | "host"
  | "transfer"
  | "dispatch"
  | "kernels"
  | "memory"
  | "end-to-end";

export const suites: readonly Suite[] = [
  "alloc",
  "host",
  "transfer",
  "dispatch",
  "kernels",
  "memory",
  "end-to-end",
];

export type ContestantName =
  | "moorage"
  | "raw"
  | "create-buffer"
  | "tensorflow"
  | "onnx"
  | "jax-eager"
  | "jax-jit";

/** What the report compares with what. */
export type ContestantKind = "moorage" | "raw" | "reference" | "peer";

export type Numbers = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Row-major, without gaps. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Numbers;
}

/** One output, in float64, element by element: computed where it is asked for. */
export interface Expected {
  readonly shape: readonly number[];
  readonly dtype: "float32" | "int32" | "uint32" | "uint8";
  /** The right value at a row-major index. */
  at(index: number): number;
}

/** The least that an iteration has to do; what a rate and a fraction of the limit are taken from. */
export interface Work {
  /** Bytes of device memory read and written. */
  readonly bytes?: number;
  /** Floating-point operations; a fused multiply-add is two. */
  readonly flops?: number;
  /** Bytes that cross between host and device. */
  readonly transferBytes?: number;
  /** Bytes read and written on the host. */
  readonly hostBytes?: number;
  /** How many like operations an iteration holds (pairs, dispatches, tokens); 1 unless told. */
  readonly operations?: number;
}

export interface CaseSize {
  /** Shown, and part of the row's key: `"4096x1024"`. */
  readonly label: string;
  /** What the case's implementations read, by name. */
  readonly values: Readonly<Record<string, number>>;
  /** Part of `--quick`. */
  readonly quick?: boolean;
}

/** Fresh numbers, the same for every contestant of a run. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** In [0, below). */
  integer(below: number): number;
  /** `count` float32 in [low, high). */
  floats(count: number, low?: number, high?: number): Float32Array;
}

export interface BenchCase {
  readonly suite: Suite;
  /** The row's key, and what `--case` matches; the contestants' tables are keyed by it. */
  readonly name: string;
  /** One sentence: what one iteration does. */
  readonly about: string;
  readonly sizes: readonly CaseSize[];
  /** A row of the table in `tolerances.ts`. */
  readonly tolerance: string;
  /** What is measured: time, or the most bytes of `GPUBuffer`s that were live. Time unless told. */
  readonly unit?: "ms" | "bytes";
  /** Implemented as the case of this name is: what contestants look up. Its own name unless told. */
  readonly like?: string;
  /** Where the case can run at all; everywhere unless told. `null-device` runs in a process of its own. */
  readonly where?: "null-device";
  /**
   * A new session before every sample; what is measured is preparing and the first iteration together,
   * of the variant that was quickest to start.
   */
  readonly cold?: boolean;
  /** At most this many iterations to a sample; 256 unless told. */
  readonly maxIterations?: number;
  work(values: Readonly<Record<string, number>>): Work;
  inputs(
    values: Readonly<Record<string, number>>,
    random: Random,
  ): Readonly<Record<string, HostTensor>>;
  /** One entry for each output, in order. */
  expected(
    inputs: Readonly<Record<string, HostTensor>>,
    values: Readonly<Record<string, number>>,
  ): readonly Expected[];
}

/** A case at one size with this run's numbers: what every contestant is given. */
export interface Problem {
  readonly case: BenchCase;
  readonly size: CaseSize;
  readonly values: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly expected: readonly Expected[];
  readonly work: Work;
}

/** Work that is ready to run: uploaded, compiled, and the same at every call. */
export interface Prepared {
  /** Names it where a contestant brings several; the harness times them and keeps the fastest. */
  readonly variant?: string;
  /**
   * Does the work `iterations` times and waits for its end. Where it gives a number, that is the
   * measure of the whole call (milliseconds, or bytes), and the harness's clock is not used.
   */
  run(iterations: number): Promise<number | void>;
  /** What the latest iteration left, in the order of the problem's `expected`. */
  outputs(): Promise<readonly Numbers[]>;
  dispose(): void | Promise<void>;
}

/** One way to do the work; it disposes what it made where preparing fails. */
export type Variant = () => Promise<Prepared>;

/** A contestant on a device of its own. */
export interface Session {
  /** What the counts of buffers, bind groups and pipelines are taken from; none on the host alone. */
  readonly device: GPUDevice;
  /**
   * Everything that a user would make beforehand. Where the best depends on the adapter, variants to
   * try instead: the harness prepares each in turn, and keeps the fastest.
   *
   * @throws NotSupportedError where the contestant has no such thing
   */
  prepare(problem: Problem): Promise<Prepared | readonly Variant[]>;
  /** Ends the session, after its work was disposed and what is still held was counted. */
  close(): Promise<void>;
}

export interface Contestant {
  readonly name: ContestantName;
  readonly kind: ContestantKind;
  /** For people: the name and the version, as they are on the registry. */
  readonly title: string;
  /**
   * Whether it keeps one device, with its caches, for the whole process, because its package gives no
   * way to start anew: its first cold start of a kernel is then its only one.
   */
  readonly keepsDevice?: boolean;
  /** The suites that it takes part in; all unless told. */
  readonly suites?: readonly Suite[];
  open(host: BenchHost): Promise<Session>;
}

/** What the platform gives: Node on Dawn, or a browser. */
export interface BenchHost {
  readonly environment: "node" | "browser";
  /** A fresh adapter, always of the same kind. */
  requestAdapter(): Promise<GPUAdapter>;
  /** A device with the adapter's own limits and the features that contestants use. */
  requestDevice(label: string): Promise<GPUDevice>;
  /** Waits until everything submitted on the device is done: the same way for every contestant. */
  wait(device: GPUDevice): Promise<void>;
  /** Milliseconds. */
  now(): number;
  /** The JavaScript heap, where the platform says. */
  heap(): HeapState | undefined;
  /** Collects garbage, where the platform allows it. */
  collectGarbage(): void;
  /**
   * Collects what was made lately, where the platform allows it: before each sample, so that nobody
   * pays for the garbage of the one before. Arrays off the heap are freed by it, too.
   */
  collectYoungGarbage(): void;
  /** Whether the process was interrupted: the harness ends after the sample under way. */
  isInterrupted(): boolean;
  /** Awaited before each sample, where it is there: a page repaints, and hears that Stop was pressed. */
  breathe?(): Promise<void>;
}

export interface HeapState {
  readonly usedBytes: number;
  /** Collections since the process started. */
  readonly collectionCount: number;
}

/** A contestant that has no such operation; the row says so. */
export class NotSupportedError extends Error {
  override readonly name = "NotSupportedError";
}

/** What a contestant looks its implementation of a problem up by. */
export function implementationName({ case: { like, name } }: Problem): string {
  return like ?? name;
}

/** The value of a size by name; a case and its implementations agree on the names. */
export function valueOf(values: Readonly<Record<string, number>>, name: string): number {
  const value = values[name];
  if (value === undefined) throw new Error(`this size has no value "${name}"`);
  return value;
}

/** The input of a problem by name. */
export function inputOf(inputs: Readonly<Record<string, HostTensor>>, name: string): HostTensor {
  const tensor = inputs[name];
  if (tensor === undefined) throw new Error(`this case has no input "${name}"`);
  return tensor;
}
