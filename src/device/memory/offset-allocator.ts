/**
 * Two-level segregated fit over an address space of units. Allocate and free are O(1): at most two
 * bitmap words and {@link probes} list nodes are looked at, whatever the number of blocks. The
 * metadata lies beside the memory, in typed arrays; nothing is allocated per block.
 *
 * Sizes fall into bins: eight to each doubling, so a block taken from the next bin up is at most an
 * eighth larger than needed. Adjacent free blocks merge at once, but for a small one that was freed last:
 * it is kept as it is until the next call, for who asks for just its size.
 *
 * After M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems", ECRTS 2004.
 */

const none = -1;
const subBits = 3;
const subCount = 1 << subBits;
const binCount = 32 * subCount;
/** Merging is what a pair of calls costs. Larger blocks had better lie where the search puts them. */
const mostKeptUnits = 256;
/** Nodes of the exact bin that are tried before a larger bin is taken. */
const probes = 4;

// A node: its place among the words, from the word that names it.
const nodeWords = 8;
const offsetField = 0;
const sizeField = 1;
const freeField = 2;
/** The neighbours in the address space. */
const beforeField = 3;
const afterField = 4;
/** The neighbours in the list of the bin; those not in use are a list too. */
const previousField = 5;
const nextField = 6;

/** The bin whose blocks have at least the size of its lower bound, and `units` is in it. */
function binOf(units: number): number {
  if (units < subCount) return units;
  const exponent = 31 - Math.clz32(units) - subBits;
  return ((exponent + 1) << subBits) | ((units >>> exponent) & (subCount - 1));
}

export class OffsetAllocator {
  /** Size of the address space in units; at most 2^31 - 1. */
  readonly capacity: number;
  /** Nodes one behind the other, a node to half a cache line: a million of them miss few lines for each call. */
  #nodes: Int32Array;
  readonly #heads = new Int32Array(binCount).fill(none);
  /** Bit g is set while group g of eight bins has a block; its own bits say which bins. */
  #groups = 0;
  readonly #binsOfGroup = new Uint8Array(32);
  #unusedNode = none;
  #nodeCount = 0;
  #freeUnits: number;
  #blockCount = 0;
  /** Freed last, and still to be merged and listed; it does not count as free for its neighbours. */
  #kept = none;

  constructor(capacity: number, nodes = 64) {
    this.capacity = capacity;
    this.#freeUnits = capacity;
    this.#nodes = new Int32Array(nodes * nodeWords);
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
    return this.#nodes.byteLength + binCount * 4 + 36;
  }

  /** The largest block that could be allocated now. O(blocks of the highest bin). */
  get largestFree(): number {
    this.settle();
    if (this.#groups === 0) return 0;
    const group = 31 - Math.clz32(this.#groups);
    const bin = (group << subBits) | (31 - Math.clz32(this.#binsOfGroup[group]!));
    let largest = 0;
    for (let node = this.#heads[bin]!; node !== none; node = this.#nodes[node + nextField]!) {
      largest = Math.max(largest, this.#nodes[node + sizeField]!);
    }
    return largest;
  }

  /**
   * A block of `units`, or -1 where none is found. The block is named by its node. O(1); a thorough
   * search also walks the whole of the exact bin, and finds a block wherever there is one.
   */
  allocate(units: number, isThorough = false): number {
    const kept = this.#kept;
    if (kept !== none) {
      this.#kept = none;
      if (this.#nodes[kept + sizeField] === units) {
        this.#freeUnits -= units;
        this.#blockCount++;
        return kept;
      }
      this.#merge(kept);
    }
    // Also keeps sizes in range: bins are computed with 32 bits.
    if (units > this.#freeUnits) return none;
    const node = this.#find(units, isThorough);
    if (node === none) return none;
    this.#remove(node);
    const rest = this.#nodes[node + sizeField]! - units;
    this.#nodes[node + sizeField] = units;
    if (rest > 0) this.#insertBehind(node, rest);
    this.#nodes[node + freeField] = 0;
    this.#freeUnits -= units;
    this.#blockCount++;
    return node;
  }

  /**
   * Makes a live block larger or smaller where it lies. False, and nothing has changed, where what lies
   * behind it is not free, or too small. O(1).
   */
  resize(node: number, units: number): boolean {
    this.settle();
    const size = this.#nodes[node + sizeField]!;
    const behind = this.#nodes[node + afterField]!;
    const isFree = behind !== none && this.#nodes[behind + freeField] === 1;
    const rest = size + (isFree ? this.#nodes[behind + sizeField]! : 0) - units;
    if (rest < 0) return false;
    if (isFree) {
      this.#remove(behind);
      this.#absorb(node, behind);
    }
    this.#nodes[node + sizeField] = units;
    if (rest > 0) this.#insertBehind(node, rest);
    this.#freeUnits += size - units;
    return true;
  }

  /** Free blocks by size: element k counts those of 2^k to 2^(k+1) - 1 units. O(free blocks). */
  histogram(): number[] {
    this.settle();
    const counts: number[] = [];
    for (const head of this.#heads) {
      for (let node = head; node !== none; node = this.#nodes[node + nextField]!) {
        const power = 31 - Math.clz32(this.#nodes[node + sizeField]!);
        while (counts.length <= power) counts.push(0);
        counts[power]!++;
      }
    }
    return counts;
  }

  /** First unit of a live block. */
  offsetOf(node: number): number {
    return this.#nodes[node + offsetField]!;
  }

  /** Units of a live block. */
  sizeOf(node: number): number {
    return this.#nodes[node + sizeField]!;
  }

  /** Gives a block back. O(1). */
  free(node: number): void {
    this.settle();
    this.#freeUnits += this.#nodes[node + sizeField]!;
    this.#blockCount--;
    if (this.#nodes[node + sizeField]! <= mostKeptUnits) this.#kept = node;
    else this.#merge(node);
  }

  /** Merges the block that was freed last, which is kept otherwise. O(1). */
  settle(): void {
    if (this.#kept === none) return;
    this.#merge(this.#kept);
    this.#kept = none;
  }

  /** Makes a freed block one with its free neighbours, and lists it. */
  #merge(node: number): void {
    let start = node;
    const before = this.#nodes[node + beforeField]!;
    if (before !== none && this.#nodes[before + freeField] === 1) {
      this.#remove(before);
      start = before;
      this.#absorb(start, node);
    }
    const after = this.#nodes[start + afterField]!;
    if (after !== none && this.#nodes[after + freeField] === 1) {
      this.#remove(after);
      this.#absorb(start, after);
    }
    this.#insert(start);
  }

  /** A free block of `units` right behind a live one. */
  #insertBehind(node: number, units: number): void {
    const after = this.#nodes[node + afterField]!;
    const tail = this.#node(
      this.#nodes[node + offsetField]! + this.#nodes[node + sizeField]!,
      units,
      node,
      after,
    );
    if (after !== none) this.#nodes[after + beforeField] = tail;
    this.#nodes[node + afterField] = tail;
    this.#insert(tail);
  }

  #find(units: number, isThorough: boolean): number {
    const exact = binOf(units);
    let node = this.#heads[exact]!;
    for (let probe = 0; probe < probes && node !== none; probe++) {
      if (this.#nodes[node + sizeField]! >= units) return node;
      node = this.#nodes[node + nextField]!;
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
    while (node !== none && this.#nodes[node + sizeField]! < units)
      node = this.#nodes[node + nextField]!;
    return node;
  }

  #absorb(node: number, after: number): void {
    this.#nodes[node + sizeField]! += this.#nodes[after + sizeField]!;
    const next = this.#nodes[after + afterField]!;
    this.#nodes[node + afterField] = next;
    if (next !== none) this.#nodes[next + beforeField] = node;
    this.#nodes[after + nextField] = this.#unusedNode;
    this.#unusedNode = after;
  }

  #insert(node: number): void {
    const bin = binOf(this.#nodes[node + sizeField]!);
    const head = this.#heads[bin]!;
    this.#nodes[node + freeField] = 1;
    this.#nodes[node + previousField] = none;
    this.#nodes[node + nextField] = head;
    if (head !== none) this.#nodes[head + previousField] = node;
    this.#heads[bin] = node;
    this.#binsOfGroup[bin >>> subBits]! |= 1 << (bin & (subCount - 1));
    this.#groups |= 1 << (bin >>> subBits);
  }

  #remove(node: number): void {
    const previous = this.#nodes[node + previousField]!;
    const next = this.#nodes[node + nextField]!;
    if (next !== none) this.#nodes[next + previousField] = previous;
    if (previous !== none) {
      this.#nodes[previous + nextField] = next;
      return;
    }
    const bin = binOf(this.#nodes[node + sizeField]!);
    this.#heads[bin] = next;
    if (next !== none) return;
    const group = bin >>> subBits;
    this.#binsOfGroup[group]! &= ~(1 << (bin & (subCount - 1)));
    if (this.#binsOfGroup[group] === 0) this.#groups &= ~(1 << group);
  }

  #node(offset: number, size: number, before: number, after: number): number {
    let node = this.#unusedNode;
    if (node === none) {
      if (this.#nodeCount === this.#nodes.length) this.#grow();
      node = this.#nodeCount;
      this.#nodeCount += nodeWords;
    } else {
      this.#unusedNode = this.#nodes[node + nextField]!;
    }
    this.#nodes[node + offsetField] = offset;
    this.#nodes[node + sizeField] = size;
    this.#nodes[node + beforeField] = before;
    this.#nodes[node + afterField] = after;
    return node;
  }

  #grow(): void {
    const grown = new Int32Array(this.#nodes.length * 2);
    grown.set(this.#nodes);
    this.#nodes = grown;
  }
}
