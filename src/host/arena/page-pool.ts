/**
 * Pages of host memory, leased to arenas. An arena owns its pages alone, so arenas may overlap in
 * time in any order; nothing is reset by a mark that two of them share.
 */

import { detached } from "../detach.ts";
import { OutOfMemoryError } from "../errors.ts";
import { RegionLedger } from "../statistics.ts";
import type { ArenaPage, PageSource } from "./page-source.ts";

export interface PagePoolOptions {
  /** Bytes of an ordinary page; default 256 KiB. */
  readonly pageBytes?: number;
  /** All pages together never pass this; default 1 GiB. */
  readonly budgetBytes?: number;
  /** Free pages beyond this many bytes go back to the engine; default 64 MiB. */
  readonly cacheBytes?: number;
  /**
   * Pages are detached when they come back: raw arrays kept past the end of their scope have length 0
   * instead of reading recycled memory. Costs some microseconds a page; default false.
   */
  readonly strict?: boolean;
}

/** A page of the pool's. */
class PooledPage implements ArenaPage {
  memory: ArrayBuffer;
  readonly start = 0;
  readonly size: number;

  constructor(memory: ArrayBuffer) {
    this.memory = memory;
    this.size = memory.byteLength;
  }
}

export class PagePool implements PageSource {
  readonly alignmentKind = "offset";
  readonly pageBytes: number;
  readonly budgetBytes: number;
  /** Counts all arenas over this pool together; what they do not hold of it is free. */
  readonly ledger = new RegionLedger("hot");
  readonly #cacheBytes: number;
  readonly #isStrict: boolean;
  readonly #free: PooledPage[] = [];
  #freeBytes = 0;

  constructor(options: PagePoolOptions = {}) {
    this.pageBytes = options.pageBytes ?? 256 * 1024;
    this.budgetBytes = options.budgetBytes ?? 1024 ** 3;
    this.#isStrict = options.strict ?? false;
    this.#cacheBytes = options.cacheBytes ?? 64 * 1024 ** 2;
  }

  /** Bytes that are left of the budget, and free pages. */
  get availableBytes(): number {
    return Math.max(0, this.budgetBytes - this.ledger.reserved) + this.#freeBytes;
  }

  /**
   * A page of at least `byteLength` bytes; its contents are old bytes. Throws `OUT_OF_MEMORY` past
   * the budget or where the engine refuses. O(1) for ordinary pages.
   */
  lease(byteLength: number, label: string): ArenaPage {
    if (byteLength <= this.pageBytes) {
      const page = this.#free.pop();
      if (page !== undefined) {
        this.#freeBytes -= page.size;
        return page;
      }
    }
    const size = Math.max(this.pageBytes, Math.ceil(byteLength / 4096) * 4096);
    if (this.ledger.reserved + size > this.budgetBytes) this.trim(0);
    if (this.ledger.reserved + size > this.budgetBytes) throw this.#refused(size, label);
    let page: PooledPage;
    try {
      page = new PooledPage(new ArrayBuffer(size));
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
  giveBack(page: PooledPage): void {
    this.keep(page);
    if (page.size === this.pageBytes && this.#freeBytes + page.size <= this.#cacheBytes) {
      this.#free.push(page);
      this.#freeBytes += page.size;
    } else {
      this.ledger.reserve(-page.size);
    }
  }

  /** In a strict pool, raw arrays over what has ended in a page have length 0. */
  keep(page: PooledPage): void {
    if (this.#isStrict) page.memory = detached(page.memory);
  }

  /** Drops free pages until at most `keepBytes` of them are left. */
  trim(keepBytes: number): void {
    while (this.#freeBytes > Math.max(0, keepBytes)) {
      const page = this.#free.pop()!;
      this.#freeBytes -= page.size;
      this.ledger.reserve(-page.size);
    }
  }
}
