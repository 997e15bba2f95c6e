/**
 * Work that must wait: recorded while a slab is provisional, or behind the first dispatch of a user's
 * kernel. It runs in order, one item after the other; what is recorded meanwhile queues behind.
 */

import { KernelError } from "../../host/errors.ts";
import type { MoorageError } from "../../host/errors.ts";
import type { BlockKey } from "../memory/block-table.ts";
import type { Dispatch, Placement } from "./launch.ts";

/** A dispatch that waits, with everything that may have changed by the time it runs. */
export interface HeldDispatch {
  readonly dispatch: Dispatch;
  readonly words: Uint32Array<ArrayBuffer>;
  readonly keys: readonly BlockKey[];
  readonly placement: Placement;
  /** Where a user's kernel was run. */
  readonly site: Error | null;
}

/** The outcome of a copy, known when the copy has been submitted. */
export interface CopyTicket {
  /** Why nothing was copied. */
  failure: MoorageError | null;
}

/** An item runs when everything before it has; a promise holds back what follows. */
export type HeldItem = () => Promise<void> | void;

export class HeldWork {
  readonly #drained: () => void;
  #items: { readonly item: HeldItem; readonly isWork: boolean }[] = [];
  #isRunning = false;
  /** Items that have not run and touch memory. */
  #workCount = 0;

  /** `drained` is called whenever the last item has run. */
  constructor(drained: () => void) {
    this.#drained = drained;
  }

  /** Whether new work must queue instead of being recorded. */
  get isHolding(): boolean {
    return this.#isRunning;
  }

  /** Whether anything in the queue touches memory: if not, only waits are there, and nobody waits behind. */
  get hasWork(): boolean {
    return this.#workCount > 0;
  }

  push(item: HeldItem): void {
    this.#workCount++;
    this.#queue({ item, isWork: true });
  }

  /** Like {@link push}, for an item that touches no memory. */
  wait(item: HeldItem): void {
    this.#queue({ item, isWork: false });
  }

  #queue(entry: { readonly item: HeldItem; readonly isWork: boolean }): void {
    this.#items.push(entry);
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    // Items never throw: each turns its failure into the failure of the blocks it should have written.
    for (let next = 0; next < this.#items.length; next++) {
      const { item, isWork } = this.#items[next]!;
      const pending = item();
      if (pending !== undefined) await pending;
      if (isWork) this.#workCount--;
    }
    this.#items = [];
    this.#isRunning = false;
    this.#drained();
  }
}

/** The error for a dispatch of a user's kernel that the device refused. */
export function validationError(label: string, cause: GPUError): KernelError {
  return new KernelError(
    "KERNEL_VALIDATION",
    `the device refused the dispatch of kernel "${label}": ${cause.message}`,
    {
      label,
      cause,
    },
  );
}
