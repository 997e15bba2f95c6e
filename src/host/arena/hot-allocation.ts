/** A piece of an arena: a handle that ends with the arena's next reset. */

import { arrayOver, hostDtypeInfo } from "../dtype.ts";
import type { ArrayOf, HostDType } from "../dtype.ts";
import { requireAlive } from "../region.ts";
import type { Allocation, AllocationRequest } from "../region.ts";
import type { HotArena } from "./hot-arena.ts";
import type { ArenaPage } from "./page-source.ts";

export class HotAllocation implements Allocation {
  readonly label: string;
  readonly byteLength: number;
  /** @internal */
  readonly arena: HotArena;
  /** @internal Bytes between the end of the previous allocation and this one. */
  readonly padding: number;
  /** @internal */
  readonly alignment: number;
  /** @internal The arena's generation when this was made: a reset ends all older handles at once. */
  readonly generation: number;
  /** @internal */
  freed = false;
  readonly #page: ArenaPage;
  readonly #byteOffset: number;

  /** @internal */
  constructor(
    arena: HotArena,
    page: ArenaPage,
    byteOffset: number,
    request: Required<AllocationRequest>,
    padding: number,
  ) {
    this.arena = arena;
    this.generation = arena.generation;
    this.#page = page;
    this.#byteOffset = byteOffset;
    this.byteLength = request.byteLength;
    this.alignment = request.alignment;
    this.label = request.label;
    this.padding = padding;
  }

  get isAlive(): boolean {
    return !this.freed && this.generation === this.arena.generation && this.arena.isUsable;
  }

  get byteOffset(): number {
    requireAlive(this, this.arena);
    return this.#byteOffset;
  }

  /** @internal The buffer that holds it now. */
  get memory(): ArrayBuffer {
    requireAlive(this, this.arena);
    return this.#page.memory;
  }

  /**
   * The bytes themselves. The array is raw: kept past the end of the scope it reads recycled memory,
   * unless the arena is strict.
   */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.array("uint8");
  }

  /** The bytes as elements of `dtype`; the same caveat holds. */
  array<D extends HostDType>(dtype: D): ArrayOf[D] {
    const count = Math.floor(this.byteLength / hostDtypeInfo(dtype).bytes);
    return arrayOver(dtype, this.memory, this.#byteOffset, count);
  }
}
