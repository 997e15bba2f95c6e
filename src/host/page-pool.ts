/**
 * Pages of host memory, leased to arenas. An arena owns its pages alone, so arenas may overlap in
 * time in any order; nothing is reset by a mark that two of them share.
 */

import { OutOfMemoryError } from "./errors.ts";
import { RegionLedger } from "./statistics.ts";

export interface PagePoolOptions {
  /** Bytes of an ordinary page; default 256 KiB. */
  readonly pageBytes?: number;
  /** All pages together never pass this; default 1 GiB. */
  readonly budgetBytes?: number;
  /** Free pages beyond this many bytes go back to the engine; default 64 MiB. */
  readonly cacheBytes?: number;
}

export class PagePool {
  readonly pageBytes: number;
  readonly budgetBytes: number;
  /** Counts all arenas over this pool together; what they do not hold of it is free. */
  readonly ledger = new RegionLedger("hot");
  readonly #cacheBytes: number;
  readonly #free: ArrayBuffer[] = [];
  #freeBytes = 0;

  constructor(options: PagePoolOptions = {}) {
    this.pageBytes = options.pageBytes ?? 256 * 1024;
    this.budgetBytes = options.budgetBytes ?? 1024 ** 3;
    this.#cacheBytes = options.cacheBytes ?? 64 * 1024 ** 2;
  }

  /**
   * A page of at least `byteLength` bytes; its contents are old bytes. Throws `OUT_OF_MEMORY` past
   * the budget or where the engine refuses. O(1) for ordinary pages.
   */
  lease(byteLength: number, label: string): ArrayBuffer {
    if (byteLength <= this.pageBytes) {
      const page = this.#free.pop();
      if (page !== undefined) {
        this.#freeBytes -= page.byteLength;
        return page;
      }
    }
    const size = Math.max(this.pageBytes, Math.ceil(byteLength / 4096) * 4096);
    if (this.ledger.reserved + size > this.budgetBytes) this.trim(0);
    if (this.ledger.reserved + size > this.budgetBytes) throw this.#refused(size, label);
    let page: ArrayBuffer;
    try {
      page = new ArrayBuffer(size);
    } catch (cause) {
      throw this.#refused(size, label, cause);
    }
    this.ledger.reserve(size);
    return page;
  }

  #refused(requestedBytes: number, label: string, cause?: unknown): OutOfMemoryError {
    const availableBytes = Math.max(0, this.budgetBytes - this.ledger.reserved);
    return new OutOfMemoryError(
      `"${label}" needs a page of ${requestedBytes} bytes of host scratch, and ${availableBytes} are left of the budget of ` +
        `${this.budgetBytes}; end other scopes first, or raise budget.hotBytes`,
      { requestedBytes, availableBytes },
      { label, cause },
    );
  }

  /** Takes a page back. Only ordinary pages are kept, and only up to the cache's bound. */
  giveBack(page: ArrayBuffer): void {
    if (
      page.byteLength === this.pageBytes &&
      this.#freeBytes + page.byteLength <= this.#cacheBytes
    ) {
      this.#free.push(page);
      this.#freeBytes += page.byteLength;
    } else {
      this.ledger.reserve(-page.byteLength);
    }
  }

  /** Drops free pages until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    while (this.#freeBytes > keepBytes) {
      const page = this.#free.pop()!;
      this.#freeBytes -= page.byteLength;
      this.ledger.reserve(-page.byteLength);
    }
  }
}
