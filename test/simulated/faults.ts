/** Failures on demand: the n-th call of a kind fails, or the device is lost at the n-th call of all. */

export type FaultKind = "createBuffer" | "mappedAtCreation" | "mapAsync" | "loss";

export class Faults {
  readonly #counts = new Map<FaultKind, number>();
  readonly #due = new Map<FaultKind, number>();

  /** Calls of a kind so far. */
  count(kind: FaultKind): number {
    return this.#counts.get(kind) ?? 0;
  }

  /** Fails the `call`-th call of the kind from now on, 1 being the next. */
  failAfter(kind: FaultKind, call: number): void {
    this.#due.set(kind, this.count(kind) + call);
  }

  clear(): void {
    this.#due.clear();
  }

  /** Counts a call; whether it is the one that fails. */
  hits(kind: FaultKind): boolean {
    const count = this.count(kind) + 1;
    this.#counts.set(kind, count);
    return this.#due.get(kind) === count;
  }
}
