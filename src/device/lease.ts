/** What is lent for a while, and given back by `dispose`. */

import type { ArrayOf, DType } from "../host/dtype.ts";
import { deadHandle } from "../host/region.ts";

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

/** A tensor's elements in mapped memory, until it is disposed: then the array has length 0. */
export class ReadLease<D extends DType = DType> extends Lease {
  readonly #data: ArrayOf[D];
  readonly #label: string;

  /** @internal */
  constructor(data: ArrayOf[D], label: string, end: () => void) {
    super(end);
    this.#data = data;
    this.#label = label;
  }

  /** A real typed array over the mapped buffer. Throws `USE_AFTER_DISPOSE` after the end. */
  get data(): ArrayOf[D] {
    if (this.isEnded) throw deadHandle(`lease of ${this.#label}`, "pinned heap");
    return this.#data;
  }
}
