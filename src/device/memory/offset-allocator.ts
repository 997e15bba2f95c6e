/**
 * Two-level segregated fit over an address space of units. Allocate and free are O(1): at most two
 * bitmap words and {@link probes} list nodes are looked at, whatever the number of blocks. The
 * metadata lies beside the memory, in typed arrays; nothing is allocated per block.
 *
 * Sizes fall into bins: eight to each doubling, so a block taken from the next bin up is at most an
 * eighth larger than needed. Adjacent free blocks merge at once.
 *
 * After M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems", ECRTS 2004.
 */

const none = -1;
const subBits = 3;
const subCount = 1 << subBits;
const binCount = 32 * subCount;
/** Nodes of the exact bin that are tried before a larger bin is taken. */
const probes = 4;

/** The bin whose blocks have at least the size of its lower bound, and `units` is in it. */
function binOf(units: number): number {
  if (units < subCount) return units;
  const exponent = 31 - Math.clz32(units) - subBits;
  return ((exponent + 1) << subBits) | ((units >>> exponent) & (subCount - 1));
}

export class OffsetAllocator {
  /** Size of the address space in units; at most 2^31 - 1. */
  readonly capacity: number;
  #offset: Int32Array;
  #size: Int32Array;
  #isFree: Uint8Array;
  // The neighbours in the address space, and in the list of the bin.
  #before: Int32Array;
  #after: Int32Array;
  #previous: Int32Array;
  #next: Int32Array;
  readonly #heads = new Int32Array(binCount).fill(none);
  /** Bit g is set while group g of eight bins has a block; its own bits say which bins. */
  #groups = 0;
  readonly #binsOfGroup = new Uint8Array(32);
  #unusedNode = none;
  #nodeCount = 0;
  #freeUnits: number;
  #blockCount = 0;

  constructor(capacity: number, nodes = 64) {
    this.capacity = capacity;
    this.#freeUnits = capacity;
    this.#offset = new Int32Array(nodes);
    this.#size = new Int32Array(nodes);
    this.#isFree = new Uint8Array(nodes);
    this.#before = new Int32Array(nodes);
    this.#after = new Int32Array(nodes);
    this.#previous = new Int32Array(nodes);
    this.#next = new Int32Array(nodes);
    this.#insert(this.#node(0, capacity, none, none));
  }

  get freeUnits(): number {
    return this.#freeUnits;
  }

  /** Live blocks. */
  get blockCount(): number {
    return this.#blockCount;
  }

  get metadataBytes(): number {
    return this.#offset.length * 25 + binCount * 4 + 36;
  }

  /** The largest block that could be allocated now. O(blocks of the highest bin). */
  get largestFree(): number {
    if (this.#groups === 0) return 0;
    const group = 31 - Math.clz32(this.#groups);
    const bin = (group << subBits) | (31 - Math.clz32(this.#binsOfGroup[group]!));
    let largest = 0;
    for (let node = this.#heads[bin]!; node !== none; node = this.#next[node]!) {
      largest = Math.max(largest, this.#size[node]!);
    }
    return largest;
  }

  /**
   * A block of `units`, or -1 where none is found. The block is named by its node. O(1); a thorough
   * search also walks the whole of the exact bin, and finds a block wherever there is one.
   */
  allocate(units: number, isThorough = false): number {
    // Also keeps sizes in range: bins are computed with 32 bits.
    if (units > this.#freeUnits) return none;
    const node = this.#find(units, isThorough);
    if (node === none) return none;
    this.#remove(node);
    const rest = this.#size[node]! - units;
    this.#size[node] = units;
    if (rest > 0) this.#insertBehind(node, rest);
    this.#isFree[node] = 0;
    this.#freeUnits -= units;
    this.#blockCount++;
    return node;
  }

  /**
   * Makes a live block larger or smaller where it lies. False, and nothing has changed, where what lies
   * behind it is not free, or too small. O(1).
   */
  resize(node: number, units: number): boolean {
    const size = this.#size[node]!;
    const behind = this.#after[node]!;
    const isFree = behind !== none && this.#isFree[behind] === 1;
    const rest = size + (isFree ? this.#size[behind]! : 0) - units;
    if (rest < 0) return false;
    if (isFree) {
      this.#remove(behind);
      this.#absorb(node, behind);
    }
    this.#size[node] = units;
    if (rest > 0) this.#insertBehind(node, rest);
    this.#freeUnits += size - units;
    return true;
  }

  /** Free blocks by size: element k counts those of 2^k to 2^(k+1) - 1 units. O(free blocks). */
  histogram(): number[] {
    const counts: number[] = [];
    for (const head of this.#heads) {
      for (let node = head; node !== none; node = this.#next[node]!) {
        const power = 31 - Math.clz32(this.#size[node]!);
        while (counts.length <= power) counts.push(0);
        counts[power]!++;
      }
    }
    return counts;
  }

  /** First unit of a live block. */
  offsetOf(node: number): number {
    return this.#offset[node]!;
  }

  /** Units of a live block. */
  sizeOf(node: number): number {
    return this.#size[node]!;
  }

  /** Gives a block back and merges it with its free neighbours. O(1). */
  free(node: number): void {
    this.#freeUnits += this.#size[node]!;
    this.#blockCount--;
    let start = node;
    const before = this.#before[node]!;
    if (before !== none && this.#isFree[before] === 1) {
      this.#remove(before);
      start = before;
      this.#absorb(start, node);
    }
    const after = this.#after[start]!;
    if (after !== none && this.#isFree[after] === 1) {
      this.#remove(after);
      this.#absorb(start, after);
    }
    this.#insert(start);
  }

  /** A free block of `units` right behind a live one. */
  #insertBehind(node: number, units: number): void {
    const after = this.#after[node]!;
    const tail = this.#node(this.#offset[node]! + this.#size[node]!, units, node, after);
    if (after !== none) this.#before[after] = tail;
    this.#after[node] = tail;
    this.#insert(tail);
  }

  #find(units: number, isThorough: boolean): number {
    const exact = binOf(units);
    let node = this.#heads[exact]!;
    for (let probe = 0; probe < probes && node !== none; probe++) {
      if (this.#size[node]! >= units) return node;
      node = this.#next[node]!;
    }
    // Every block of a higher bin fits.
    const bin = exact + 1;
    let group = bin >>> subBits;
    let bins = this.#binsOfGroup[group]! & (0xff << (bin & (subCount - 1)));
    if (bins === 0) {
      const groups = group >= 31 ? 0 : this.#groups & (-1 << (group + 1));
      if (groups === 0) return isThorough ? this.#rest(node, units) : none;
      group = 31 - Math.clz32(groups & -groups);
      bins = this.#binsOfGroup[group]!;
    }
    return this.#heads[(group << subBits) | (31 - Math.clz32(bins & -bins))]!;
  }

  /** The first node of a list, from `first` on, that is large enough. */
  #rest(first: number, units: number): number {
    let node = first;
    while (node !== none && this.#size[node]! < units) node = this.#next[node]!;
    return node;
  }

  #absorb(node: number, after: number): void {
    this.#size[node]! += this.#size[after]!;
    const next = this.#after[after]!;
    this.#after[node] = next;
    if (next !== none) this.#before[next] = node;
    this.#next[after] = this.#unusedNode;
    this.#unusedNode = after;
  }

  #insert(node: number): void {
    const bin = binOf(this.#size[node]!);
    const head = this.#heads[bin]!;
    this.#isFree[node] = 1;
    this.#previous[node] = none;
    this.#next[node] = head;
    if (head !== none) this.#previous[head] = node;
    this.#heads[bin] = node;
    this.#binsOfGroup[bin >>> subBits]! |= 1 << (bin & (subCount - 1));
    this.#groups |= 1 << (bin >>> subBits);
  }

  #remove(node: number): void {
    const previous = this.#previous[node]!;
    const next = this.#next[node]!;
    if (next !== none) this.#previous[next] = previous;
    if (previous !== none) {
      this.#next[previous] = next;
      return;
    }
    const bin = binOf(this.#size[node]!);
    this.#heads[bin] = next;
    if (next !== none) return;
    const group = bin >>> subBits;
    this.#binsOfGroup[group]! &= ~(1 << (bin & (subCount - 1)));
    if (this.#binsOfGroup[group] === 0) this.#groups &= ~(1 << group);
  }

  #node(offset: number, size: number, before: number, after: number): number {
    let node = this.#unusedNode;
    if (node === none) {
      if (this.#nodeCount === this.#offset.length) this.#grow();
      node = this.#nodeCount++;
    } else {
      this.#unusedNode = this.#next[node]!;
    }
    this.#offset[node] = offset;
    this.#size[node] = size;
    this.#before[node] = before;
    this.#after[node] = after;
    return node;
  }

  #grow(): void {
    const grow = (old: Int32Array): Int32Array => {
      const grown = new Int32Array(old.length * 2);
      grown.set(old);
      return grown;
    };
    this.#offset = grow(this.#offset);
    this.#size = grow(this.#size);
    this.#before = grow(this.#before);
    this.#after = grow(this.#after);
    this.#previous = grow(this.#previous);
    this.#next = grow(this.#next);
    const flags = new Uint8Array(this.#isFree.length * 2);
    flags.set(this.#isFree);
    this.#isFree = flags;
  }
}
