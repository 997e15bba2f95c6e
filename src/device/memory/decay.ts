/**
 * Cached memory goes back when nobody has wanted it for a while: pools that never shrink are what
 * programs on WebGPU suffer from. The clock ticks only while something is cached.
 */

export class Decay {
  readonly #periodMs: number;
  /** Gives back what was not used since the call before; whether there is anything to look at again. */
  readonly #release: () => boolean;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** @param idleMs - at least so long, and at most twice as long, unused memory is kept; `Infinity` keeps it */
  constructor(idleMs: number, release: () => boolean) {
    this.#periodMs = idleMs;
    this.#release = release;
  }

  /** Memory is in use, and some of it may be cached from now on. O(1). */
  touch(): void {
    if (this.#timer !== null || this.#periodMs === Infinity) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#release()) this.touch();
    }, this.#periodMs);
    // In Node a program ends although the clock ticks; browsers have numbers for timers.
    if (typeof this.#timer === "object") this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
