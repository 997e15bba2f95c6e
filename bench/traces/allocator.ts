/** What a trace is replayed against: an allocator of GPU memory, real or a model of one. */

export interface Allocator<Handle extends object = object> {
  readonly name: string;
  /** Throws where it has no memory to give. */
  allocate(bytes: number, label: string): Handle;
  free(handle: Handle): void;
  /** What was recorded so far is submitted. */
  step(): void;
  /** What has to be waited for before the replay goes on, if anything: no clock runs meanwhile. */
  settle?(): Promise<void> | undefined;
  /** Gives back what is not in use, where users can ask for that. */
  trim?(): Promise<void>;
  stats(): AllocatorStats;
}

export interface AllocatorStats {
  /** Bytes of all `GPUBuffer`s that exist now. */
  readonly reservedBytes: number;
  readonly peakReservedBytes: number;
  /** Bytes that were asked for and not freed. */
  readonly liveBytes: number;
  readonly bufferCreates: number;
  readonly bufferDestroys: number;
  /** Allocations that made no buffer. */
  readonly cacheHits: number;
}

/** A contender of a replay. */
export interface Contender {
  readonly name: string;
  /** For people: what it is, or whose behaviour it models. */
  readonly about: string;
  /**
   * A model that makes no buffers and only counts what it would make: what it needs is known before a
   * device has to bear it. The real thing has none.
   */
  readonly account?: () => Allocator;
  /** On a device of its own. */
  open(): Promise<OpenedAllocator>;
}

export interface OpenedAllocator {
  readonly allocator: Allocator;
  /** What the device reported meanwhile, if anything. */
  failure(): string | null;
  close(): Promise<void>;
}
