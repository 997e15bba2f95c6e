/**
 * From operands to bindings. WebGPU refuses a buffer that one dispatch both reads and writes, so:
 *
 * - Where inputs and outputs lie in different slabs (the colour rule saw to it), a built-in kernel
 *   binds whole slabs and travels with element offsets: one bind group serves every block in them.
 * - In a slab that is written and holds more than one operand, each block is bound by its exact range,
 *   all of them `read_write`, which is allowed while the ranges are disjoint; operands in one block
 *   share a binding.
 * - Of a block that is too large for a binding, each operand binds the window that it reaches.
 */

import type { BlockTable, DeviceAllocation } from "../memory/block-table.ts";
import type { SlabPool } from "../memory/slab-pool.ts";
import type { Slab } from "../memory/slab.ts";
import type { BindGroups } from "./bind-groups.ts";
import type { BindingShape, Kernel, Variant } from "./kernel.ts";
import type { Pipelines } from "./pipelines.ts";

/** The most operands a kernel can have: WebGPU's smallest limit for storage buffers. */
export const maxOperands = 8;

/** The part of its block that an operand reaches, in bytes: where it starts is a granule's start. */
export interface BindingWindow {
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A dispatch, placed: which memory each operand has. */
export interface Dispatch {
  readonly kernel: Kernel;
  /** Inputs, then outputs. */
  readonly blocks: readonly DeviceAllocation[];
  /** Elements from the start of each block to the operand's first element. */
  readonly offsets: readonly number[];
  /** For each operand whose block is too large to be bound: what to bind of it. */
  readonly windows?: readonly (BindingWindow | null)[] | null;
  /** Workgroups. */
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

/**
 * Where the blocks of a dispatch were when it was recorded. By the time held work runs the blocks may
 * be freed, and their memory in use by work that was recorded later and therefore waits behind.
 */
export interface Placement {
  readonly slabs: readonly Slab[];
  readonly offsets: readonly number[];
  readonly extents: readonly number[];
}

/** Resolves dispatches. Its public arrays hold the outcome of the last {@link resolve}. */
export class Launcher {
  /** Element offset of each operand in its binding. */
  readonly elementOffsets = new Float64Array(maxOperands);
  /** Slab of each operand. */
  readonly slabs: Slab[] = [];
  /** Byte offset in its slab, and bytes owned, of the block of each operand. */
  readonly starts = new Float64Array(maxOperands);
  readonly extents = new Float64Array(maxOperands);
  /** Dynamic offsets, in the order of the bindings. */
  readonly dynamicOffsets = new Uint32Array(maxOperands);
  dynamicCount = 0;
  readonly #device: GPUDevice;
  readonly #table: BlockTable;
  readonly #pool: SlabPool;
  readonly #pipelines: Pipelines;
  readonly #groups: BindGroups;
  // By operand: its binding, and whether it is bound exactly, and for writing.
  readonly #slots = new Int32Array(maxOperands);
  readonly #exact = new Uint8Array(maxOperands);
  readonly #write = new Uint8Array(maxOperands);
  /** By operand: bytes of its binding before the operand's own. */
  readonly #leads = new Float64Array(maxOperands);
  #isLed = false;
  // By binding: what it binds.
  readonly #bindingSlab: Slab[] = [];
  readonly #bindingOffset = new Float64Array(maxOperands);
  readonly #bindingSize = new Float64Array(maxOperands);
  #variant: Variant | null = null;

  constructor(
    device: GPUDevice,
    table: BlockTable,
    pool: SlabPool,
    pipelines: Pipelines,
    groups: BindGroups,
  ) {
    this.#device = device;
    this.#table = table;
    this.#pool = pool;
    this.#pipelines = pipelines;
    this.#groups = groups;
  }

  /** Where the blocks of a dispatch are now. */
  locate({ blocks }: Dispatch): Placement {
    const { slab, offset, extent } = this.#table;
    return {
      slabs: blocks.map(({ row }) => this.#pool.slab(slab[row]!)),
      offsets: blocks.map(({ row }) => offset[row]!),
      extents: blocks.map(({ row }) => extent[row]!),
    };
  }

  /**
   * The variant for a dispatch; fills the public arrays. `placement` is where its blocks were, if not
   * where they are now. O(operands²), O(operands) where plain.
   */
  resolve(dispatch: Dispatch, placement: Placement | null): Variant {
    const { kernel, blocks, offsets, windows = null } = dispatch;
    const table = this.#table;
    const count = blocks.length;
    let read = 0;
    let written = 0;
    let conflict = false;
    for (let operand = 0; operand < count; operand++) {
      if (placement === null) {
        const { row } = blocks[operand]!;
        this.slabs[operand] = this.#pool.slab(table.slab[row]!);
        this.starts[operand] = table.offset[row]!;
        this.extents[operand] = table.extent[row]!;
      } else {
        this.slabs[operand] = placement.slabs[operand]!;
        this.starts[operand] = placement.offsets[operand]!;
        this.extents[operand] = placement.extents[operand]!;
      }
      const { index, isWide } = this.slabs[operand]!;
      conflict ||= isWide;
      const bit = index < 31 ? 1 << index : 0;
      if (operand < kernel.inputCount) {
        read |= bit;
      } else {
        conflict ||= ((read | written) & bit) !== 0;
        written |= bit;
      }
      conflict ||= bit === 0;
    }
    if (windows !== null) this.#narrow(windows);
    if (this.#isLed) this.#leads.fill(0);
    this.#isLed = false;
    if (conflict) this.#uniteForeign(count);
    const variant = conflict ? this.#mixed(kernel, blocks) : this.#plain(kernel);
    this.#variant = variant;
    const { slots, isExact } = variant.shape;
    for (let operand = 0; operand < count; operand++) {
      const slot = slots[operand]!;
      this.#bindingSlab[slot] = this.slabs[operand]!;
      if (isExact[slot]!) {
        this.#bindingOffset[slot] = this.starts[operand]!;
        this.#bindingSize[slot] = this.extents[operand]!;
        const before = (windows?.[operand]?.byteOffset ?? 0) - this.#leads[operand]!;
        this.elementOffsets[operand] = offsets[operand]! - before / kernel.elementBytes[operand]!;
      } else {
        this.#bindingOffset[slot] = 0;
        this.#bindingSize[slot] = 0;
        this.elementOffsets[operand] =
          this.starts[operand]! / kernel.elementBytes[operand]! + offsets[operand]!;
      }
    }
    return variant;
  }

  /**
   * Parts of somebody else's buffer may overlap, and WebGPU refuses a dispatch that writes one of two such
   * bindings: they are bound once, as what they cover together. O(operands³) where there are any.
   */
  #uniteForeign(count: number): void {
    const { slabs, starts, extents } = this;
    let foreign = 0;
    for (let operand = 0; operand < count; operand++) if (slabs[operand]!.isForeign) foreign++;
    if (foreign < 2) return;
    const own = starts.slice(0, count);
    for (let round = 0; round < count; round++) {
      for (let a = 0; a < count; a++) {
        for (let b = 0; b < a; b++) {
          if (slabs[a] !== slabs[b] || !slabs[a]!.isForeign) continue;
          const start = Math.min(starts[a]!, starts[b]!);
          const end = Math.max(starts[a]! + extents[a]!, starts[b]! + extents[b]!);
          if (end - start >= extents[a]! + extents[b]!) continue;
          starts[a] = starts[b] = start;
          extents[a] = extents[b] = end - start;
        }
      }
    }
    this.#isLed = true;
    for (let operand = 0; operand < count; operand++)
      this.#leads[operand] = own[operand]! - starts[operand]!;
  }

  /** What is bound of a large block is a part of it. */
  #narrow(windows: readonly (BindingWindow | null)[]): void {
    for (const [operand, window] of windows.entries()) {
      if (window === null) continue;
      this.starts[operand]! += window.byteOffset;
      this.extents[operand] = window.byteLength;
    }
  }

  #plain(kernel: Kernel): Variant {
    return (kernel.plainVariant ??= this.#pipelines.create(kernel, kernel.plainShape));
  }

  #mixed(kernel: Kernel, blocks: readonly DeviceAllocation[]): Variant {
    let bindings = 0;
    let key = 0;
    for (let operand = 0; operand < blocks.length; operand++) {
      const isOutput = operand >= kernel.inputCount;
      let shared = false;
      let slot = -1;
      for (let other = 0; other < blocks.length; other++) {
        if (other === operand || this.slabs[other] !== this.slabs[operand]) continue;
        if (!isOutput && !this.#isSlabWritten(kernel, operand, blocks.length)) continue;
        shared = true;
        // Two handles may show one block: one that was kept, and the one that it was.
        if (other < operand && this.#isSameRange(other, operand)) slot = this.#slots[other]!;
      }
      this.#slots[operand] = slot === -1 ? bindings++ : slot;
      this.#exact[operand] = shared || kernel.isExact || this.slabs[operand]!.isWide ? 1 : 0;
      this.#write[operand] = shared || isOutput ? 1 : 0;
      key =
        key * 64 + this.#slots[operand]! * 4 + this.#exact[operand]! * 2 + this.#write[operand]!;
    }
    let variant = kernel.variants.get(key);
    if (variant === undefined) {
      variant = this.#pipelines.create(kernel, this.#shape(blocks.length, bindings));
      kernel.variants.set(key, variant);
    }
    return variant;
  }

  #isSameRange(a: number, b: number): boolean {
    return this.starts[a] === this.starts[b] && this.extents[a] === this.extents[b];
  }

  /** Whether any output lies in the slab of `operand`. */
  #isSlabWritten(kernel: Kernel, operand: number, count: number): boolean {
    for (let output = kernel.inputCount; output < count; output++) {
      if (this.slabs[output] === this.slabs[operand]) return true;
    }
    return false;
  }

  #shape(operands: number, bindings: number): BindingShape {
    const slots = Array.from(this.#slots.subarray(0, operands));
    const first = Array.from({ length: bindings }, (_, slot) => slots.indexOf(slot));
    return {
      slots,
      access: first.map((operand) => (this.#write[operand] === 1 ? "read_write" : "read")),
      isExact: first.map((operand) => this.#exact[operand] === 1),
    };
  }

  /** The bind group of the last resolved dispatch; fills {@link dynamicOffsets}. O(bindings). */
  bindGroup(): GPUBindGroup {
    const variant = this.#variant!;
    const { isExact } = variant.shape;
    const { key } = this.#groups;
    const isDynamic = variant.layout.isDynamic;
    let word = 0;
    let dynamic = 0;
    key[word++] = variant.layout.id;
    for (let slot = 0; slot < isExact.length; slot++) {
      const offset = this.#bindingOffset[slot]!;
      key[word++] = this.#bindingSlab[slot]!.serial;
      key[word++] = this.#bindingSize[slot]!;
      key[word++] = isDynamic ? 0 : offset;
      if (isDynamic && isExact[slot]!) this.dynamicOffsets[dynamic++] = offset;
    }
    this.dynamicCount = dynamic;
    this.#groups.length = word;
    return this.#groups.get(this.#create);
  }

  readonly #create = (): GPUBindGroup => {
    const variant = this.#variant!;
    const { isExact } = variant.shape;
    return this.#device.createBindGroup({
      label: `moorage ${variant.kernel.label}`,
      layout: variant.layout.bindGroupLayout,
      entries: isExact.map((exact, binding) => {
        const { buffer } = this.#bindingSlab[binding]!;
        if (!exact) return { binding, resource: { buffer } };
        const offset = variant.layout.isDynamic ? 0 : this.#bindingOffset[binding]!;
        return { binding, resource: { buffer, offset, size: this.#bindingSize[binding]! } };
      }),
    });
  };
}
