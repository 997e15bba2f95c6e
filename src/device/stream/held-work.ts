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
  #items: HeldItem[] = [];
  #isRunning = false;

  /** `drained` is called whenever the last item has run. */
  constructor(drained: () => void) {
    this.#drained = drained;
  }

  /** Whether new work must queue instead of being recorded. */
  get isHolding(): boolean {
    return this.#isRunning;
  }

  push(item: HeldItem): void {
    this.#items.push(item);
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  async #run(): Promise<void> {
    // Items never throw: each turns its failure into the failure of the blocks it should have written.
    for (let next = 0; next < this.#items.length; next++) {
      const pending = this.#items[next]!();
      if (pending !== undefined) await pending;
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
