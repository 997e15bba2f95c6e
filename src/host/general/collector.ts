/**
 * When a general heap collects, and how it is measured. A slice tells the engine of new handles, then
 * moves blocks, until its time or its bytes are spent; a full collection is one slice without an end.
 */

import type { ProfilingHooks } from "../profiling.ts";
import { settled } from "../settled.ts";
import type { Evacuator, MoveCounts } from "./evacuator.ts";
import type { GeneralBlock } from "./general-block.ts";
import type { PressureLevel } from "./pressure.ts";

export interface CollectorOptions {
  readonly pauseMs: number;
  readonly sliceBytes: number;
  readonly now: () => number;
  readonly hooks: ProfilingHooks | null;
}

/** How long the program stood still for collections. */
export interface Pauses {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
}

/** What collections have done so far. */
export interface CollectionStats extends Readonly<MoveCounts> {
  readonly fullCollections: number;
  /** Blocks that ended because nobody could reach them. */
  readonly reclaimedCount: number;
  readonly reclaimedBytes: number;
  /** Slices that moved or registered something. */
  readonly pauses: Pauses;
  readonly pressure: PressureLevel;
}

/** Handles between two looks at the clock. */
const handlesPerLook = 64;

export class Collector {
  fullCollections = 0;
  readonly #evacuator: Evacuator;
  readonly #register: (block: GeneralBlock) => void;
  readonly #options: CollectorOptions;
  /** Handles of retired nurseries, which the engine's collector is not told of yet. */
  readonly #unregistered: GeneralBlock[][] = [];
  #held = 0;
  #pauseCount = 0;
  #totalMs = 0;
  #longestMs = 0;

  constructor(
    evacuator: Evacuator,
    register: (block: GeneralBlock) => void,
    options: CollectorOptions,
  ) {
    this.#evacuator = evacuator;
    this.#register = register;
    this.#options = options;
  }

  get pauses(): Pauses {
    return { count: this.#pauseCount, totalMs: this.#totalMs, longestMs: this.#longestMs };
  }

  /** Whether something holds collections off. */
  get isHeld(): boolean {
    return this.#held > 0;
  }

  /** Runs `action` while nothing moves, until it ends, or its promise settles. */
  hold<R>(action: () => R): R {
    this.#held++;
    return settled(action, () => {
      this.#held--;
    });
  }

  /** The handles of a nursery that is full: from now on the engine's collector decides on them. */
  retire(handles: GeneralBlock[]): void {
    this.#unregistered.push(handles);
  }

  /** About `pauseMs` of work. Returns whether there is more; does nothing while it is held off. */
  slice(): boolean {
    const { pauseMs, sliceBytes, now } = this.#options;
    if (this.isHeld || !this.#hasWork(false)) return false;
    const started = now();
    return this.#run("slice", () =>
      this.#work(sliceBytes, () => now() - started >= pauseMs, false),
    );
  }

  /** All the work that there is. */
  full(): void {
    this.#evacuator.startFull();
    this.fullCollections++;
    this.#run("full", () => this.#work(Number.POSITIVE_INFINITY, () => false, true));
  }

  #hasWork(isFull: boolean): boolean {
    return this.#unregistered.length > 0 || this.#evacuator.hasWork(isFull);
  }

  #work(mostBytes: number, isLate: () => boolean, isFull: boolean): boolean {
    if (this.#registerSome(isLate)) return true;
    return this.#evacuator.slice(mostBytes, isLate, isFull);
  }

  #run(kind: "slice" | "full", work: () => boolean): boolean {
    const { now, hooks } = this.#options;
    const started = now();
    const before = this.#evacuator.counts.movedBytes;
    const isMore = work();
    const durationMs = now() - started;
    this.#pauseCount++;
    this.#totalMs += durationMs;
    this.#longestMs = Math.max(this.#longestMs, durationMs);
    const movedBytes = this.#evacuator.counts.movedBytes - before;
    hooks?.onCollection?.({ region: "general", kind, durationMs, movedBytes });
    return isMore;
  }

  /** Returns whether handles are left. */
  #registerSome(isLate: () => boolean): boolean {
    let count = 0;
    for (;;) {
      const handles = this.#unregistered.at(-1);
      if (handles === undefined) return false;
      for (let block = handles.pop(); block !== undefined; block = handles.pop()) {
        if (block.isAlive) this.#register(block);
        if (++count % handlesPerLook === 0 && isLate()) return true;
      }
      this.#unregistered.pop();
    }
  }
}
