/**
 * Bind groups, kept by what they bind: the layout, and for each binding a slab and a size (0 for the
 * whole). Exact ranges move by dynamic offsets, so a range of the same size elsewhere in the slab is
 * a hit. A lookup allocates nothing: the key is gathered in a typed array and compared in place.
 *
 * Bounded by two generations: when the young one is full it becomes the old one, and the old one is
 * dropped; a hit in the old one moves the entry to the young one. O(1) amortised.
 */

/** Words of a key: the layout, then three for each of at most eight bindings. */
const keyWords = 1 + 3 * 8;

class Generation {
  readonly keys: Float64Array;
  readonly groups: (GPUBindGroup | null)[];
  readonly mask: number;
  count = 0;

  constructor(slots: number) {
    this.keys = new Float64Array(slots * keyWords);
    this.groups = Array.from<GPUBindGroup | null>({ length: slots }).fill(null);
    this.mask = slots - 1;
  }

  /** The slot of a key, or the empty slot where it belongs (linear probing, half full at most). */
  find(key: Float64Array, length: number, hash: number): number {
    for (let slot = hash & this.mask; ; slot = (slot + 1) & this.mask) {
      if (this.groups[slot] === null) return slot;
      const base = slot * keyWords;
      let word = 0;
      while (word < length && this.keys[base + word] === key[word]) word++;
      if (word === length) return slot;
    }
  }

  put(slot: number, key: Float64Array, length: number, group: GPUBindGroup): void {
    for (let word = 0; word < length; word++) this.keys[slot * keyWords + word] = key[word]!;
    this.groups[slot] = group;
    this.count++;
  }
}

export class BindGroups {
  /** The key of the next lookup: write `length` words, layout first. */
  readonly key = new Float64Array(keyWords);
  length = 0;
  /** Bind groups made so far. */
  createdCount = 0;
  readonly #slots: number;
  #young: Generation;
  #old: Generation;

  /** `capacity` bind groups are kept in each generation. */
  constructor(capacity = 2048) {
    this.#slots = 2 ** Math.ceil(Math.log2(capacity * 2));
    this.#young = new Generation(this.#slots);
    this.#old = new Generation(1);
  }

  /** The group for {@link key}, made by `create` where it is not there. */
  get(create: () => GPUBindGroup): GPUBindGroup {
    const { key, length } = this;
    let hash = length;
    for (let word = 0; word < length; word++) hash = (Math.imul(hash, 0x9e3779b1) ^ key[word]!) | 0;
    hash ^= hash >>> 15;
    const slot = this.#young.find(key, length, hash);
    const group = this.#young.groups[slot]!;
    if (group !== null) return group;
    return this.#miss(slot, hash, create);
  }

  #miss(slot: number, hash: number, create: () => GPUBindGroup): GPUBindGroup {
    const { key, length } = this;
    const old = this.#old.count === 0 ? null : this.#old.groups[this.#old.find(key, length, hash)]!;
    if (old === null) this.createdCount++;
    const group = old ?? create();
    this.#young.put(slot, key, length, group);
    if (this.#young.count * 2 >= this.#slots) {
      this.#old = this.#young;
      this.#young = new Generation(this.#slots);
    }
    return group;
  }

  /** Drops everything: bind groups hold on to buffers that are to be destroyed. */
  clear(): void {
    this.#young = new Generation(this.#slots);
    this.#old = new Generation(1);
  }
}
