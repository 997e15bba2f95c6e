/**
 * What is tried when device memory runs out, one step after the other until the request fits:
 *
 *     submit what is recorded ─▶ tell the program ─▶ drop caches ─▶ compact ─▶ an error that says who has what
 *
 * Each step is counted. Steps never wait: `allocAsync` waits for the device, and climbs again.
 */

export interface LadderCounts {
  /** Requests that did not fit at once. */
  readonly climbs: number;
  /** Steps that were taken: recorded work submitted, programs told, caches dropped, blocks moved. */
  readonly submitted: number;
  readonly told: number;
  readonly trimmed: number;
  readonly compacted: number;
  /** Times that an asynchronous request waited for the device. */
  readonly waited: number;
  /** Times that blocks were moved together instead of, or before, reserving more. */
  readonly tightened: number;
  /** Requests that no step made room for. */
  readonly refused: number;
}

/** Memory that the device uses is short. */
export interface DevicePressureEvent {
  /** Slabs, or staging. */
  readonly region: "device" | "pinned";
  readonly requestedBytes: number;
  /** Free in what is reserved, and still to be reserved. */
  readonly availableBytes: number;
  readonly reservedBytes: number;
  readonly budgetBytes: number;
  /** `refused` where the request fails unless something is freed; `soft` where a soft budget is passed. */
  readonly level: "soft" | "refused";
}

/** May dispose tensors: the request is tried again afterwards. */
export type DevicePressureListener = (event: DevicePressureEvent) => void;

type Step = "submitted" | "told" | "trimmed" | "compacted";

export class Ladder {
  /** Each takes its step; set by who has the means. */
  readonly steps: Record<Exclude<Step, "told">, (neededBytes: number) => void> = {
    submitted: () => {},
    trimmed: () => {},
    compacted: () => {},
  };
  readonly #listeners = new Set<DevicePressureListener>();
  readonly #counts: { -readonly [K in keyof LadderCounts]: number } = {
    climbs: 0,
    submitted: 0,
    told: 0,
    trimmed: 0,
    compacted: 0,
    waited: 0,
    tightened: 0,
    refused: 0,
  };
  #isClimbing = false;

  counts(): LadderCounts {
    return { ...this.#counts };
  }

  /** Returns the function that takes the listener away again. */
  listen(listener: DevicePressureListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Steps until `attempt` gives something; null where none did. A request from within a step (a listener
   * that allocates) climbs nothing.
   */
  climb<T>(event: DevicePressureEvent, attempt: () => T | null): T | null {
    if (this.#isClimbing) return null;
    this.#isClimbing = true;
    this.#counts.climbs++;
    try {
      for (const step of ["submitted", "told", "trimmed", "compacted"] as const) {
        if (step === "told" && this.#listeners.size === 0) continue;
        this.#counts[step]++;
        if (step === "told") this.#tell(event);
        else this.steps[step](event.requestedBytes);
        const made = attempt();
        if (made !== null) return made;
      }
    } finally {
      this.#isClimbing = false;
    }
    return null;
  }

  /** A soft budget is passed: listeners may free, and caches go. */
  soften(event: DevicePressureEvent): void {
    if (this.#isClimbing) return;
    this.#isClimbing = true;
    try {
      if (this.#listeners.size > 0) this.#counts.told++;
      this.#tell(event);
      this.#counts.trimmed++;
      this.steps.trimmed(event.requestedBytes);
    } finally {
      this.#isClimbing = false;
    }
  }

  /** Staging is short: listeners may free. Who tells drops what is cached there. */
  appeal(event: DevicePressureEvent): void {
    if (this.#isClimbing || this.#listeners.size === 0) return;
    this.#isClimbing = true;
    this.#counts.told++;
    try {
      this.#tell(event);
    } finally {
      this.#isClimbing = false;
    }
  }

  /** Memory is mostly free and in pieces: blocks are moved together before it grows. */
  tighten(neededBytes: number): void {
    this.#counts.tightened++;
    this.steps.compacted(neededBytes);
  }

  waited(): void {
    this.#counts.waited++;
  }

  refused(): void {
    this.#counts.refused++;
  }

  #tell(event: DevicePressureEvent): void {
    // Those of now: one that takes itself away and comes again is told once.
    const listeners = Array.from(this.#listeners);
    for (const listener of listeners) if (this.#listeners.has(listener)) listener(event);
  }
}
