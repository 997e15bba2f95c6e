/** What is done while the device is waited for: nothing, where the platform waits well by itself. */

export class Waits {
  /** Whether anybody has to be told at all. */
  readonly #isNeeded: boolean;
  #count = 0;

  constructor(isNeeded = false) {
    this.#isNeeded = isNeeded;
  }

  /** The same promise. O(1). */
  during<T>(waiting: Promise<T>): Promise<T> {
    if (!this.#isNeeded) return waiting;
    this.#count++;
    const ended = (): void => {
      this.#count--;
      if (this.#count === 0) this.allEnded();
    };
    waiting.then(ended, ended);
    this.began();
    return waiting;
  }

  /** Whether anything is waited for. */
  protected get isWaiting(): boolean {
    return this.#count > 0;
  }

  /** One more is waited for. */
  protected began(): void {}

  /** Nothing is waited for any more. */
  protected allEnded(): void {}
}
