/**
 * What a program can be told of its allocations: which live, since when and from where; what happened
 * lately; and hooks for a profiler. Off unless asked for: a region without an observer pays one
 * comparison for each allocation.
 */

import { InvalidArgumentError, MoorageError } from "../errors.ts";
import type { ProfilingHooks } from "../profiling.ts";
import type { RegionKind } from "../statistics.ts";
import { callerStack } from "./caller-stack.ts";
import type { Observed, RegionObserver } from "./observer.ts";
import { TraceRing } from "./trace-ring.ts";

export interface DiagnosticsOptions {
  /** Events that the trace holds; no trace where 0. Default 65,536, of 28 bytes each. */
  readonly traceEvents?: number;
  /**
   * A stack is kept for the allocation that completes each so many bytes: large ones are nearly always
   * seen, and small ones cost nearly nothing. Default 1 MiB; 0 keeps none, 1 keeps all.
   */
  readonly stackEveryBytes?: number;
  readonly hooks?: ProfilingHooks;
  /** Milliseconds; default `performance.now`. */
  readonly now?: () => number;
}

/** An allocation that has not ended. */
export interface OutstandingAllocation {
  readonly label: string;
  readonly region: RegionKind;
  /** The region's own name: which arena of several. */
  readonly owner: string;
  readonly byteLength: number;
  readonly ageMs: number;
  /** Where it was made, if it was sampled. */
  readonly stack: string | undefined;
}

interface Made {
  readonly id: number;
  readonly label: string;
  readonly byteLength: number;
  readonly at: number;
  readonly stack: string | undefined;
}

/** Ids of a trace have 32 bits. */
const idLimit = 2 ** 32 - 1;

export class Diagnostics implements RegionObserver {
  /** The latest events; null where none are recorded. */
  readonly trace: TraceRing | null;
  readonly #hooks: ProfilingHooks | null;
  readonly #stackEveryBytes: number;
  readonly #now: () => number;
  readonly #live = new Map<Observed, Map<unknown, Made>>();
  #bytesToStack: number;
  #nextId = 0;

  /** Throws `INVALID_ARGUMENT` for options that cannot be right. */
  constructor(options: DiagnosticsOptions = {}) {
    const { traceEvents = 65_536, stackEveryBytes = 2 ** 20, hooks = null } = options;
    for (const [name, value] of Object.entries({ traceEvents, stackEveryBytes })) {
      if (Number.isSafeInteger(value) && value >= 0) continue;
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `diagnostics.${name} is ${value}; it is a whole number, and 0 turns it off`,
      );
    }
    this.trace = traceEvents === 0 ? null : new TraceRing(traceEvents);
    this.#hooks = hooks;
    this.#stackEveryBytes = stackEveryBytes;
    this.#bytesToStack = stackEveryBytes;
    this.#now = options.now ?? (() => performance.now());
  }

  allocated(owner: Observed, key: unknown, label: string, byteLength: number): void {
    let live = this.#live.get(owner);
    if (live === undefined) this.#live.set(owner, (live = new Map<unknown, Made>()));
    const id = this.#nextId;
    this.#nextId = (this.#nextId + 1) % idLimit;
    const at = this.#now();
    live.set(key, { id, label, byteLength, at, stack: this.#sampled(byteLength) });
    this.trace?.record(false, owner.kind, id, byteLength, label, at);
    this.#hooks?.onAllocation?.({ region: owner.kind, label, byteLength });
  }

  freed(owner: Observed, key: unknown): void {
    const live = this.#live.get(owner);
    const made = live?.get(key);
    // Made before anybody listened.
    if (live === undefined || made === undefined) return;
    live.delete(key);
    if (live.size === 0) this.#live.delete(owner);
    this.#ended(owner, made);
  }

  endedAll(owner: Observed): void {
    const live = this.#live.get(owner);
    if (live === undefined) return;
    this.#live.delete(owner);
    for (const made of live.values()) this.#ended(owner, made);
  }

  #ended({ kind }: Observed, { id, label, byteLength }: Made): void {
    this.trace?.record(true, kind, id, byteLength, label, this.#now());
    this.#hooks?.onFree?.({ region: kind, label, byteLength });
  }

  #sampled(byteLength: number): string | undefined {
    if (this.#stackEveryBytes === 0) return undefined;
    this.#bytesToStack -= byteLength;
    if (this.#bytesToStack > 0) return undefined;
    this.#bytesToStack = this.#stackEveryBytes;
    return callerStack(2);
  }

  /** Since when an allocation lives, and where it was made if that was sampled. O(1). */
  originOf(
    owner: object,
    key: unknown,
  ): Pick<OutstandingAllocation, "ageMs" | "stack"> | undefined {
    const made = this.#live.get(owner as Observed)?.get(key);
    return made && { ageMs: this.#now() - made.at, stack: made.stack };
  }

  /** Everything that lives, oldest first. O(live). */
  outstanding(): OutstandingAllocation[] {
    const now = this.#now();
    const all: (OutstandingAllocation & { readonly id: number })[] = [];
    for (const [owner, live] of this.#live) {
      for (const { id, label, byteLength, at, stack } of live.values()) {
        const { kind: region } = owner;
        all.push({ id, label, region, owner: owner.label, byteLength, ageMs: now - at, stack });
      }
    }
    all.sort((a, b) => a.id - b.id);
    return all.map(({ label, region, owner, byteLength, ageMs, stack }) => {
      return { label, region, owner, byteLength, ageMs, stack };
    });
  }

  /**
   * Throws `LEAK`, naming everything that lives, unless nothing does. Blocks of a general heap are left
   * out: they end by themselves.
   */
  assertNoLeaks(): void {
    const live = this.outstanding().filter(({ region }) => region !== "general");
    if (live.length === 0) return;
    throw new MoorageError(
      "LEAK",
      `${live.length} allocations live; dispose them:\n${formatOutstanding(live)}`,
      { label: live[0]!.label },
    );
  }

  /** What lives, for people: the largest first. */
  report(): string {
    const live = this.outstanding();
    if (live.length === 0) return "Nothing is allocated.";
    return `${live.length} live:\n${formatOutstanding(live)}`;
  }
}

const mostShown = 20;

function formatOutstanding(live: readonly OutstandingAllocation[]): string {
  const lines = live
    .toSorted((a, b) => b.byteLength - a.byteLength)
    .slice(0, mostShown)
    .map(({ label, byteLength, owner, ageMs, stack }) => {
      const where = stack === undefined ? "" : `\n${stack}`;
      return `  "${label}" ${byteLength} bytes in ${owner}, ${Math.round(ageMs)} ms old${where}`;
    });
  if (live.length > mostShown) lines.push(`  and ${live.length - mostShown} more`);
  return lines.join("\n");
}
