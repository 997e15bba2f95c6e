/** Memory that is lent until its borrower gives it back. */
export abstract class Lease implements Disposable {
  readonly #end: () => void;
  #isEnded = false;

  /** @internal */
  constructor(end: () => void) {
    this.#end = end;
  }

  /** Whether it was given back. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Gives the memory back: see the kind of lease for what that ends. Twice is harmless. */
  dispose(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#end();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
