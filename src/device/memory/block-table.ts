/**
 * The block table: the only way from a tensor to its memory. A row says in which slab, at which
 * offset and of which generation a block is; what lies behind a row may be replaced (compaction,
 * restore, capture) without the tensors noticing. Rows are columns of typed arrays.
 */

import { InvalidArgumentError } from "../../host/errors.ts";
import type { MoorageError } from "../../host/errors.ts";
import { doubleFree, foreignHandle, requireAlive } from "../../host/region.ts";
import type { Allocation } from "../../host/region.ts";
import type { RegionKind } from "../../host/statistics.ts";

/** A key unlike that of every block, ever: the row and its generation in one number below 2^53. */
export type BlockKey = number;

const rowLimit = 2 ** 24;

/** The node of a block whose slab is gone. */
export const lostNode = -2;

/** Gives a tensor's elements again, after a loss of the device. */
export type SourceReader = () => ArrayBufferView | Promise<ArrayBufferView>;

/** What a block has to know of the region that gave it. */
export interface BlockRegion {
  readonly kind: RegionKind | "foreign";
  readonly label: string;
  free(block: DeviceAllocation): void;
}

/** The handle of a block. */
export class DeviceAllocation implements Allocation {
  readonly label: string;
  readonly byteLength: number;
  /** @internal */
  readonly table: BlockTable;
  /** @internal */
  readonly region: BlockRegion;
  /** @internal */
  readonly row: number;
  /** @internal */
  readonly generation: number;

  /** @internal */
  constructor(
    table: BlockTable,
    region: BlockRegion,
    row: number,
    byteLength: number,
    label: string,
  ) {
    this.table = table;
    this.region = region;
    this.row = row;
    this.generation = table.generation[row]!;
    this.byteLength = byteLength;
    this.label = label;
  }

  get isAlive(): boolean {
    return this.table.generation[this.row] === this.generation;
  }

  /** Byte offset in the slab. */
  get byteOffset(): number {
    requireAlive(this, this.region);
    return this.table.offset[this.row]!;
  }

  /** @internal */
  get key(): BlockKey {
    const { table } = this;
    if (!table.hasAliases) return this.generation * rowLimit + this.row;
    return table.ownerOf(this)?.ownKey ?? this.ownKey;
  }

  /** @internal */
  get ownKey(): BlockKey {
    return this.generation * rowLimit + this.row;
  }
}

export class BlockTable {
  /** Index of the slab in the pool. */
  slab = new Int32Array(256);
  /** Byte offset in the slab. */
  offset = new Float64Array(256);
  /** Bytes that the block owns, padding included: what may be bound. */
  extent = new Float64Array(256);
  /** Grows whenever the row's block ends: older handles are dead from then on. */
  generation = new Uint32Array(256);
  references = new Int32Array(256);
  /** The block's node in the slab's allocator, -1 where a page holds it, or {@link lostNode}. */
  node = new Int32Array(256);
  /** Why a block holds no value: the work that should have written it failed. */
  readonly failures = new Map<BlockKey, MoorageError>();
  /** Told of a failure that nobody has read when the last block that shows it ends. */
  onUnobserved: (failure: MoorageError) => void = () => {};
  readonly #sources = new Map<BlockKey, SourceReader>();
  /** By key: who reads a block bit by bit. */
  readonly #readers = new Map<BlockKey, Set<() => void>>();
  /** Blocks whose place somebody outside of Moorage knows, and how often. */
  readonly #lent = new Map<number, number>();
  readonly #observed = new WeakSet<MoorageError>();
  readonly #handles: (DeviceAllocation | null)[] = [];
  /** Whether any row shows another's memory. */
  hasAliases = false;
  /** By row: whose memory, failure and source a row shows. */
  readonly #owners = new Map<number, DeviceAllocation>();
  /** By the owner's row: how many rows show its memory. */
  readonly #borrowers = new Map<number, number>();
  #unused: number[] = [];

  /** A new row. O(1). */
  add(
    region: BlockRegion,
    slab: number,
    node: number,
    byteOffset: number,
    extent: number,
    byteLength: number,
    label: string,
  ): DeviceAllocation {
    const row = this.#unused.pop() ?? this.#handles.length;
    if (row >= this.slab.length) this.#grow();
    this.slab[row] = slab;
    this.node[row] = node;
    this.offset[row] = byteOffset;
    this.extent[row] = extent;
    this.references[row] = 1;
    const handle = new DeviceAllocation(this, region, row, byteLength, label);
    this.#handles[row] = handle;
    return handle;
  }

  /** Ends a row's block; its handles are dead from now on. O(1). */
  remove(handle: DeviceAllocation): void {
    const { row } = handle;
    const failure = this.failures.size > 0 ? this.failures.get(handle.ownKey) : undefined;
    this.willChange(handle.ownKey);
    if (this.hasAliases) this.#letGo(row);
    this.generation[row]!++;
    this.#handles[row] = null;
    this.#unused.push(row);
    // Last, because it calls a user's function.
    this.#report(failure);
  }

  /** A new handle in the place of another, which is dead from now on; what has failed has failed. O(1). */
  replace(handle: DeviceAllocation, extent: number, byteLength: number): DeviceAllocation {
    const { row, region, label, key } = handle;
    const failure = this.failures.get(key);
    this.failures.delete(key);
    this.willChange(key);
    this.generation[row]!++;
    this.extent[row] = extent;
    const next = new DeviceAllocation(this, region, row, byteLength, label);
    this.#handles[row] = next;
    if (failure !== undefined) this.failures.set(next.key, failure);
    return next;
  }

  /** Throws `FOREIGN_HANDLE` or `DOUBLE_FREE` unless `region` may free the handle now. */
  checkFree(handle: DeviceAllocation, region: BlockRegion): void {
    if (handle.table !== this || handle.region !== region)
      throw foreignHandle(handle.label, region.label);
    if (!handle.isAlive) throw doubleFree(handle.label, region.label);
  }

  /** Every live block. */
  *live(): Iterable<DeviceAllocation> {
    for (const handle of this.#handles) if (handle !== null) yield handle;
  }

  /** Drops the failures of blocks that are gone. */
  forgetFailures(): void {
    for (const [key, failure] of this.failures) {
      if (this.generation[key % rowLimit] === Math.floor(key / rowLimit)) continue;
      this.failures.delete(key);
      this.#report(failure);
    }
  }

  /** Where a block's elements come from again after a loss, while nothing on the device has written it. */
  setSource(handle: DeviceAllocation, source: SourceReader): void {
    this.#sources.set(handle.key, source);
  }

  sourceOf(handle: DeviceAllocation): SourceReader | undefined {
    return this.#sources.get(handle.key);
  }

  /**
   * A block is about to be written, or its memory to go: its source tells its value no more, and who reads
   * it bit by bit takes the rest. O(readers of it).
   */
  willChange(key: BlockKey): void {
    if (this.#sources.size > 0) this.#sources.delete(key);
    if (this.#readers.size > 0) this.takeRest(key);
  }

  /** Whether any block is read bit by bit. */
  get hasReaders(): boolean {
    return this.#readers.size > 0;
  }

  /** Calls `takeRest` before the block changes. Returns the function that ends that. O(1). */
  watch(handle: DeviceAllocation, takeRest: () => void): () => void {
    const { key } = handle;
    const readers = this.#readers.get(key) ?? new Set();
    this.#readers.set(key, readers);
    readers.add(takeRest);
    return () => {
      readers.delete(takeRest);
      if (readers.size === 0 && this.#readers.get(key) === readers) this.#readers.delete(key);
    };
  }

  /** Who reads a block bit by bit takes the rest now; of every block where none is told. */
  takeRest(key?: BlockKey): void {
    const sets = key === undefined ? this.#readers.values() : [this.#readers.get(key) ?? []];
    // Each ends its watch meanwhile.
    for (const takeRest of Array.from(sets, (readers) => [...readers]).flat()) takeRest();
  }

  isLent(handle: DeviceAllocation): boolean {
    return this.#lent.size > 0 && this.#lent.has(handle.row);
  }

  /** Whether somebody outside of Moorage may write the block, unseen. */
  isExposed(handle: DeviceAllocation): boolean {
    return handle.region.kind === "foreign" || this.isLent(handle);
  }

  /** Keeps a block in its place until it was given back as often as it was lent. */
  lend(handle: DeviceAllocation, count: 1 | -1): void {
    const { row } = handle;
    const lent = (this.#lent.get(row) ?? 0) + count;
    if (lent > 0) this.#lent.set(row, lent);
    else this.#lent.delete(row);
  }

  /** Makes a row show the memory of another's block, which stays in its place and alive until it is let go. */
  alias(handle: DeviceAllocation, owner: DeviceAllocation): void {
    this.#owners.set(handle.row, owner);
    this.hasAliases = true;
    this.#borrow(owner, 1);
    this.followOwners(owner);
    this.references[owner.row]!++;
    this.lend(owner, 1);
  }

  /** A row that may have shown another's memory ends. */
  #letGo(row: number): void {
    const owner = this.#owners.get(row);
    if (owner === undefined) return;
    this.#owners.delete(row);
    this.hasAliases = this.#owners.size > 0;
    this.#borrow(owner, -1);
  }

  /** Whose memory a block shows, if it is another's. */
  ownerOf(handle: DeviceAllocation): DeviceAllocation | undefined {
    const { row, generation } = handle;
    if (!this.hasAliases || this.generation[row] !== generation) return undefined;
    return this.#owners.get(row);
  }

  /** Whether all who own a block any more are scopes that show it: its users have disposed it. */
  isBorrowedOnly(handle: DeviceAllocation): boolean {
    return this.#borrowers.get(handle.row) === this.references[handle.row];
  }

  #borrow({ row }: DeviceAllocation, count: 1 | -1): void {
    const borrowers = (this.#borrowers.get(row) ?? 0) + count;
    if (borrowers > 0) this.#borrowers.set(row, borrowers);
    else this.#borrowers.delete(row);
  }

  /** An owner has a new place: who shows its memory has it too. O(aliases). */
  followOwners(moved: DeviceAllocation): void {
    for (const [row, owner] of this.#owners) {
      if (owner !== moved) continue;
      this.slab[row] = this.slab[owner.row]!;
      this.offset[row] = this.offset[owner.row]!;
      this.extent[row] = this.extent[owner.row]!;
      this.node[row] = -1;
    }
  }

  /** Whether two blocks show any of the same memory: parts of one wrapped buffer may. */
  overlaps(a: DeviceAllocation, b: DeviceAllocation): boolean {
    const { slab, offset, extent } = this;
    if (slab[a.row] !== slab[b.row]) return false;
    const [start, other] = [offset[a.row]!, offset[b.row]!];
    return start < other + extent[b.row]! && other < start + extent[a.row]!;
  }

  /** Whether two blocks show the same memory. */
  isSame(a: DeviceAllocation, b: DeviceAllocation): boolean {
    return this.slab[a.row] === this.slab[b.row] && this.offset[a.row] === this.offset[b.row];
  }

  /** Notes that somebody was told of a failure. */
  observe(failure: MoorageError): void {
    this.#observed.add(failure);
  }

  #report(failure: MoorageError | undefined): void {
    if (failure === undefined || this.#observed.has(failure)) return;
    this.#observed.add(failure);
    this.onUnobserved(failure);
  }

  get metadataBytes(): number {
    return this.slab.length * 40;
  }

  #grow(): void {
    if (this.slab.length === rowLimit) {
      throw new InvalidArgumentError(
        "LIMIT_EXCEEDED",
        `more than ${rowLimit} live tensors; dispose some`,
      );
    }
    const length = this.slab.length * 2;
    const grow = <T extends Int32Array | Uint32Array | Float64Array>(grown: T, old: T): T => {
      grown.set(old);
      return grown;
    };
    this.slab = grow(new Int32Array(length), this.slab);
    this.offset = grow(new Float64Array(length), this.offset);
    this.extent = grow(new Float64Array(length), this.extent);
    this.generation = grow(new Uint32Array(length), this.generation);
    this.references = grow(new Int32Array(length), this.references);
    this.node = grow(new Int32Array(length), this.node);
  }
}
