/**
 * The error family.
 *
 * One class for each kind of mistake, one stable `code` for each mistake. A message says what was
 * asked, what was there, which tensor (by label), and what to do next; what the platform threw, if
 * anything, is the `cause`.
 */

/** Every code that Moorage can put on an error; stable across releases. */
export type ErrorCode =
  | "OUT_OF_MEMORY"
  | "REGION_EXHAUSTED"
  | "SIZE_OVERFLOW"
  | "INVALID_ARGUMENT"
  | "INVALID_LAYOUT"
  | "UNSUPPORTED_DTYPE"
  | "UNSUPPORTED_ALIGNMENT"
  | "LIMIT_EXCEEDED"
  | "USE_AFTER_DISPOSE"
  | "DOUBLE_FREE"
  | "FOREIGN_HANDLE"
  | "SCOPE_ESCAPE"
  | "SCOPE_ENDED"
  | "PINNED"
  | "IN_USE"
  | "LEAK"
  | "NOT_MAPPED"
  | "CANCELLED"
  | "KERNEL_COMPILATION"
  | "KERNEL_VALIDATION"
  | "DEVICE_LOST"
  | "DEVICE_ERROR"
  | "RUNTIME_DISPOSED"
  | "NO_WEBGPU"
  | "NO_ADAPTER";

export interface ErrorDetails {
  /** The label of the tensor, region, scope or kernel that the error is about. */
  readonly label?: string | undefined;
  /** What the platform threw or reported. */
  readonly cause?: unknown;
}

/** The base of every error that Moorage throws. */
export class MoorageError extends Error {
  readonly code: ErrorCode;
  readonly label: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.label = details.label;
  }
}

/** All live allocations of one label in one region. */
export interface MemoryShare {
  readonly region: string;
  readonly label: string;
  readonly byteLength: number;
  readonly count: number;
}

/** A request that memory, or a budget for it, could not meet. */
export class OutOfMemoryError extends MoorageError {
  /** Bytes asked for, after alignment. */
  readonly requestedBytes: number;
  /** Bytes that could have been given at that moment. */
  readonly availableBytes: number;
  /** The largest piece that could have been given; where it is less, memory is in pieces. */
  readonly largestFreeBytes: number | undefined;
  /** Who had the memory, the most first; empty where a region knows only its own bytes. */
  readonly breakdown: readonly MemoryShare[];

  constructor(
    message: string,
    sizes: {
      readonly requestedBytes: number;
      readonly availableBytes: number;
      readonly largestFreeBytes?: number;
      readonly breakdown?: readonly MemoryShare[];
    },
    details: ErrorDetails & { readonly code?: "OUT_OF_MEMORY" | "REGION_EXHAUSTED" } = {},
  ) {
    super(details.code ?? "OUT_OF_MEMORY", message, details);
    this.requestedBytes = sizes.requestedBytes;
    this.availableBytes = sizes.availableBytes;
    this.largestFreeBytes = sizes.largestFreeBytes;
    this.breakdown = sizes.breakdown ?? [];
  }
}

/** An argument, shape, layout, dtype, size or limit that cannot be right whatever the state. */
export class InvalidArgumentError extends MoorageError {}

/** A handle that was used outside its lifetime, freed twice, or given to the wrong owner. */
export class LifetimeError extends MoorageError {}

/** Work that somebody stopped before it was done. */
export class CancelledError extends MoorageError {}

/** A kernel that does not compile or whose dispatch the device refused. */
export class KernelError extends MoorageError {
  /** The compiler's messages, with lines counted in the text that the kernel's author wrote. */
  readonly messages: readonly KernelMessage[];

  constructor(
    code: "KERNEL_COMPILATION" | "KERNEL_VALIDATION",
    message: string,
    details: ErrorDetails & { readonly messages?: readonly KernelMessage[] } = {},
  ) {
    super(code, message, details);
    this.messages = details.messages ?? [];
  }
}

/** One message of the WGSL compiler. */
export interface KernelMessage {
  readonly type: "error" | "warning" | "info";
  readonly message: string;
  /** 1-based line in the author's text; 0 where the message is about generated code. */
  readonly line: number;
  /** 1-based column. */
  readonly column: number;
}

/** The device or adapter: lost, absent, or reporting an error of its own. */
export class DeviceError extends MoorageError {}
