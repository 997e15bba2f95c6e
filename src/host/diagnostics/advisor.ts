/**
 * The debug mode: ten habits that keep memory healthy, each with a warning for who leaves it, and the
 * two other handles that are to be disposed. A warning names the label, says what to do, and is given
 * once for each label.
 *
 *   do      scope temporaries · pin what crosses to the GPU · dispose pinned memory · require() before
 *           a large scope · read the statistics
 *   do not  let scope values escape · hold a raw view of what may move · allocate in tight loops
 *           outside of scopes · mix pinned and unpinned in one structure · ignore pressure
 */

import type { RegionKind } from "../statistics.ts";
import { Duties } from "./duties.ts";
import type { DutyKind, ForgottenDuty } from "./duties.ts";
import type { Observed, RegionObserver } from "./observer.ts";

export type AdviceKind =
  | "scope-temporaries"
  | "pin-transfers"
  | "dispose-pinned"
  | "dispose-tensor"
  | "dispose-pin"
  | "require-first"
  | "read-statistics"
  | "scope-escape"
  | "raw-view-moved"
  | "tight-loop"
  | "mixed-structure"
  | "pressure-ignored";

export interface Advice {
  readonly kind: AdviceKind;
  readonly label: string;
  readonly message: string;
  /** Where it began, for what nobody can reach any more. */
  readonly origin?: string | undefined;
}

export interface AdvisorOptions {
  /** Default: a warning on the console. */
  readonly onAdvice?: (advice: Advice) => void;
}

/** So many allocations of one label that end in the task that made them are temporaries of a loop. */
const temporariesToTell = 64;

/** So many that are made in one task and stay are a loop that a scope should have. */
const allocationsToTell = 1000;

/** So many uploads of one label, of so many bytes each, that staging of one's own would have spared a copy. */
const uploadsToTell = 16;
const uploadBytes = 256 * 1024;

/** Regions whose memory a scope could have had instead. */
const isLongLived: ReadonlySet<RegionKind> = new Set(["device-heap", "general"]);

interface LabelCounts {
  madeInTask: number;
  endedInTask: number;
}

export class Advisor implements RegionObserver {
  readonly #tell: (advice: Advice) => void;
  readonly #said = new Set<string>();
  /** Of the task that is running: forgotten when it ends. */
  readonly #counts = new Map<string, LabelCounts>();
  readonly #madeNow = new Map<unknown, string>();
  readonly #uploads = new Map<string, number>();
  /** By structure, what the label says before its last `/` or `.`: how its parts were uploaded. */
  readonly #structures = new Map<string, { readonly label: string; readonly isPinned: boolean }>();
  /** Handles that have to be disposed. */
  readonly duties = new Duties((duty) => this.#forgotten(duty));
  #isInTask = false;
  #task = 0;
  #hasReadStatistics = false;

  constructor({ onAdvice = warn }: AdvisorOptions = {}) {
    this.#tell = onAdvice;
  }

  say(kind: AdviceKind, label: string, text: string, origin?: string): void {
    const key = `${kind} ${label}`;
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#tell({ kind, label, message: `"${label}" ${text}`, ...(origin && { origin }) });
  }

  allocated(owner: Observed, key: unknown, label: string): void {
    this.enterTask();
    if (!isLongLived.has(owner.kind)) return;
    const counts = this.#countsOf(label);
    counts.madeInTask++;
    this.#madeNow.set(key, label);
    if (counts.madeInTask - counts.endedInTask === allocationsToTell) {
      this.say(
        "tight-loop",
        label,
        `was allocated ${allocationsToTell} times in one task on the ${owner.label}; allocate inside a scope, or reuse one`,
      );
    }
  }

  freed(_: Observed, key: unknown): void {
    const label = this.#madeNow.get(key);
    if (label === undefined) return;
    this.#madeNow.delete(key);
    const counts = this.#countsOf(label);
    counts.endedInTask++;
    if (counts.endedInTask === temporariesToTell) {
      this.say(
        "scope-temporaries",
        label,
        `was allocated and freed ${temporariesToTell} times in one task; compute it in a scope, whose memory comes back in bulk`,
      );
    }
  }

  endedAll(): void {}

  #countsOf(label: string): LabelCounts {
    let counts = this.#counts.get(label);
    if (counts === undefined) {
      counts = { madeInTask: 0, endedInTask: 0 };
      this.#counts.set(label, counts);
    }
    return counts;
  }

  /** A number of the task that runs now: the same for everything that happens in it. */
  enterTask(): number {
    if (this.#isInTask) return this.#task;
    this.#isInTask = true;
    this.#task++;
    setTimeout(() => {
      this.#isInTask = false;
      this.#counts.clear();
      this.#madeNow.clear();
    }, 0);
    return this.#task;
  }

  /** An upload from pinned memory, or from an ordinary array. */
  uploaded(label: string, byteLength: number, isPinned: boolean): void {
    const structure = /^(.+)[/.][^/.]+$/.exec(label)?.[1];
    if (structure !== undefined) this.#inStructure(structure, label, isPinned);
    if (isPinned || byteLength < uploadBytes) return;
    const count = (this.#uploads.get(label) ?? 0) + 1;
    this.#uploads.set(label, count);
    if (count !== uploadsToTell) return;
    this.say(
      "pin-transfers",
      label,
      `was uploaded ${uploadsToTell} times from an ordinary array of ${byteLength} bytes; fill a pinned tensor and upload() it: one copy less`,
    );
  }

  #inStructure(structure: string, label: string, isPinned: boolean): void {
    const first = this.#structures.get(structure);
    if (first === undefined) {
      this.#structures.set(structure, { label, isPinned });
    } else if (first.isPinned !== isPinned) {
      const [pinned, other] = isPinned ? [label, first.label] : [first.label, label];
      this.say(
        "mixed-structure",
        structure,
        `has parts in pinned memory ("${pinned}") and parts that are not ("${other}"); keep a structure's parts in one kind of memory`,
      );
    }
  }

  /** A scope ran out of memory without having asked for it. */
  ranOut(label: string): void {
    this.say(
      "require-first",
      label,
      "ran out of memory half way; call require(bytes) first: it refuses before any work is done",
    );
  }

  escaped(label: string): void {
    this.say("scope-escape", label, "left its scope; keep() it, or return plain numbers");
  }

  /** A raw view of a moving block, handed out in an earlier task, was still held when the block moved. */
  viewMoved(label: string): void {
    this.say(
      "raw-view-moved",
      label,
      "moved while a raw array over it was held; pin() the block, or ask for the array again after a safe point",
    );
  }

  pressureIgnored(label: string, message: string): void {
    this.say("pressure-ignored", label, message);
  }

  #forgotten({ kind, label, origin }: ForgottenDuty): void {
    const [advice, what] = forgotten[kind];
    this.say(advice, label, `${what}, or use \`using\``, origin);
  }

  readStatistics(): void {
    this.#hasReadStatistics = true;
  }

  /** The end of a runtime in debug mode. */
  runtimeEnds(label: string): void {
    this.duties.end();
    if (this.#hasReadStatistics) return;
    this.say(
      "read-statistics",
      label,
      "ran in debug mode, and nobody read stats() or report(); look at them before it is disposed",
    );
  }
}

/** The advice for each kind of handle that was lost, and its words. */
const forgotten: { readonly [K in DutyKind]: readonly [AdviceKind, string] } = {
  pinned: [
    "dispose-pinned",
    "was pinned, and nobody can reach it to dispose it; dispose pinned memory",
  ],
  tensor: [
    "dispose-tensor",
    "holds device memory, and nobody can reach it to dispose it; compute it in a scope, dispose it",
  ],
  pin: [
    "dispose-pin",
    "is pinned by a pin that nobody can reach: it can neither move nor end; dispose the pin",
  ],
};

function warn({ message, origin }: Advice): void {
  console.warn(`moorage: ${message}${origin === undefined ? "" : `; it was made\n${origin}`}`);
}

/** Both of two observers, the one that is there, or none. */
export function observerOf(
  first: RegionObserver | null,
  second: RegionObserver | null,
): RegionObserver | null {
  return first !== null && second !== null ? new ObserverPair(first, second) : (first ?? second);
}

class ObserverPair implements RegionObserver {
  readonly #first: RegionObserver;
  readonly #second: RegionObserver;

  constructor(first: RegionObserver, second: RegionObserver) {
    this.#first = first;
    this.#second = second;
  }

  allocated(owner: Observed, key: unknown, label: string, byteLength: number): void {
    this.#first.allocated(owner, key, label, byteLength);
    this.#second.allocated(owner, key, label, byteLength);
  }

  freed(owner: Observed, key: unknown): void {
    this.#first.freed(owner, key);
    this.#second.freed(owner, key);
  }

  endedAll(owner: Observed): void {
    this.#first.endedAll(owner);
    this.#second.endedAll(owner);
  }
}
