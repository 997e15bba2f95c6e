/** What the work behind a transfer is given: how it is stopped, and who is told how far it is. */

/**
 * Asking whether to stop costs nothing; a signal to listen to is made only for who wants one, because that
 * costs as much as the rest of a small transfer.
 */
export class TransferControl {
  /** How many bytes have been submitted. */
  submittedBytes = 0;
  readonly #given: AbortSignal | undefined;
  #isStopped = false;
  #reason: unknown;
  #controller: AbortController | null = null;
  #signal: AbortSignal | null = null;

  /** @param given - stops the work, too */
  constructor(given: AbortSignal | undefined) {
    this.#given = given;
  }

  get isStopped(): boolean {
    return this.#isStopped || this.#given?.aborted === true;
  }

  throwIfStopped(): void {
    if (this.#isStopped) throw this.#reason;
    this.#given?.throwIfAborted();
  }

  /** Whether `error` is why the work was stopped. */
  isReason(error: unknown): boolean {
    if (error === undefined) return false;
    if (this.#isStopped && error === this.#reason) return true;
    return this.#given?.aborted === true && error === this.#given.reason;
  }

  /** The work ends with this reason as soon as it can. The first reason counts. */
  stop(reason: unknown): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** Notes that bytes up to here have been submitted. */
  submitted(byteLength: number): void {
    this.submittedBytes = byteLength;
  }

  /** For what listens, or waits for something that may never come. */
  get signal(): AbortSignal {
    if (this.#signal !== null) return this.#signal;
    this.#controller = new AbortController();
    const own = this.#controller.signal;
    if (this.#isStopped) this.#controller.abort(this.#reason);
    this.#signal = this.#given === undefined ? own : AbortSignal.any([own, this.#given]);
    return this.#signal;
  }
}

/** What `work` gives, or a rejection as soon as the signal aborts: what it waits for may never come. */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  // First: where it is stopped already, nobody else listens to the work, which may fail of the same.
  work.catch(() => {});
  signal.throwIfAborted();
  let stop!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
  });
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
