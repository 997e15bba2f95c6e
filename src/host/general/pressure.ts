/** Watermarks: who is told, and when, that a heap's budget is running out. */

export type PressureLevel = "normal" | "high" | "critical";

export interface PressureEvent {
  readonly level: PressureLevel;
  /** Bytes in use: live, with their padding. */
  readonly usedBytes: number;
  readonly budgetBytes: number;
  /** What the allocation that caused it asked for; 0 where none did. */
  readonly requestedBytes: number;
}

/** Frees what it can; the allocation is tried again after all listeners were told. */
export type PressureListener = (event: PressureEvent) => void;

export interface PressureOptions {
  /** Fractions of the budget. */
  readonly high: number;
  readonly critical: number;
  /** Told once where warnings are ignored. */
  readonly onIgnored: (message: string) => void;
}

/** So many critical events in a row, with no less in use after each, mean that nobody listens. */
const ignoredEvents = 3;

export class PressureGauge {
  readonly #budgetBytes: number;
  readonly #options: PressureOptions;
  readonly #label: string;
  readonly #listeners = new Set<PressureListener>();
  #level: PressureLevel = "normal";
  #ignored = 0;
  #hasWarned = false;
  #isTelling = false;

  constructor(label: string, budgetBytes: number, options: PressureOptions) {
    this.#label = label;
    this.#budgetBytes = budgetBytes;
    this.#options = options;
  }

  get level(): PressureLevel {
    return this.#level;
  }

  /** Returns the function that takes the listener away again. */
  listen(listener: PressureListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Compares what is in use with the watermarks, and tells the listeners of a level that is higher than
   * the last. `isRefused`: an allocation is about to fail, which is critical whatever the bytes are.
   */
  update(usedBytes: () => number, requestedBytes = 0, isRefused = false): void {
    // A listener that frees and allocates comes here again; it knows already.
    if (this.#isTelling) return;
    const before = usedBytes();
    const level = isRefused ? "critical" : this.#levelOf(before);
    const isHigher = rank[level] > rank[this.#level];
    this.#level = level;
    if (!isHigher && !isRefused) return;
    const event = { level, usedBytes: before, budgetBytes: this.#budgetBytes, requestedBytes };
    this.#isTelling = true;
    try {
      for (const listener of this.#listeners) listener(event);
    } finally {
      this.#isTelling = false;
    }
    if (level !== "critical") return;
    if (usedBytes() < before) {
      this.#ignored = 0;
      this.#level = this.#levelOf(usedBytes());
      return;
    }
    this.#ignored++;
    if (this.#ignored < ignoredEvents || this.#hasWarned) return;
    this.#hasWarned = true;
    this.#options.onIgnored(
      `moorage: ${this.#label} has reported critical pressure ${this.#ignored} times, and nothing was freed: ` +
        `${before} of ${this.#budgetBytes} bytes are in use; listen with onPressure and dispose, or raise the budget`,
    );
  }

  #levelOf(usedBytes: number): PressureLevel {
    const { high, critical } = this.#options;
    if (usedBytes >= critical * this.#budgetBytes) return "critical";
    return usedBytes >= high * this.#budgetBytes ? "high" : "normal";
  }
}

const rank: { readonly [L in PressureLevel]: number } = { normal: 0, high: 1, critical: 2 };
