/** Memory on the host by hand: views over one buffer, a list of mapped buffers, plain arrays. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { hostWork } from "../../core/host-work.ts";
import type { Kit } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/** The memory is made beforehand; what costs is the view. */
function bump({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const memory = new ArrayBuffer(count * elements * 4);
  const work = (): void => {
    for (let index = 0, offset = 0; index < count; index++, offset += elements * 4) {
      new Float32Array(memory, offset, elements)[0] = index;
    }
  };
  const all = new Float32Array(memory);
  return hostWork(work, () => Float32Array.from({ length: count }, (_, at) => all[at * elements]!));
}

function mapped(kit: Kit, bytes: number): GPUBuffer {
  return kit.device.createBuffer({
    label: "raw: mapped",
    size: bytes,
    usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
    mappedAtCreation: true,
  });
}

/** A free block is the last of a list, mapped, with the array that was made over it. */
function pinned({ values }: Problem, kit: Kit): Prepared {
  const [count, bytes] = [valueOf(values, "count"), valueOf(values, "bytes")];
  const buffer = mapped(kit, bytes);
  const free = [new Float32Array(buffer.getMappedRange())];
  const seen = new Float32Array(count);
  const work = (): void => {
    for (let index = 0; index < count; index++) {
      const data = free.pop()!;
      data[0] = index;
      seen[index] = data[0];
      free.push(data);
    }
  };
  return hostWork(
    work,
    () => seen,
    () => buffer.destroy(),
  );
}

function copyIntoPinned({ inputs }: Problem, kit: Kit): Prepared {
  const { data } = inputOf(inputs, "x");
  const buffer = mapped(kit, data.byteLength);
  const range = new Float32Array(buffer.getMappedRange());
  return hostWork(
    () => range.set(data),
    () => range.slice(),
    () => buffer.destroy(),
  );
}

/** What the language offers: blocks that the engine collects one by one. */
function blocksOfTheirOwn({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const seen = new Float32Array(count);
  const work = (): void => {
    for (let index = 0; index < count; index++) {
      const block = new Float32Array(elements);
      block[0] = index;
      seen[index] = block[0];
    }
  };
  return { ...hostWork(work, () => seen), variant: "an array each" };
}

const pageBytes = 65_536;

/** Views of pages: the engine collects a page when none of its blocks can be reached. */
function blocksOfPages({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const seen = new Float32Array(count);
  let page = new ArrayBuffer(pageBytes);
  let offset = 0;
  const work = (): void => {
    for (let index = 0; index < count; index++, offset += elements * 4) {
      if (offset + elements * 4 > pageBytes) {
        page = new ArrayBuffer(pageBytes);
        offset = 0;
      }
      const block = new Float32Array(page, offset, elements);
      block[0] = index;
      seen[index] = block[0];
    }
  };
  return { ...hostWork(work, () => seen), variant: "views of pages of 64 KiB" };
}

/** Views of one buffer, one behind the other, from its start again where it is full. */
function arrays({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const isFilled = valueOf(values, "isFilled") === 1;
  const bytes = 4 * elements;
  const memory = new ArrayBuffer(Math.max(2 ** 22, bytes));
  const seen = new Float32Array(count);
  let offset = 0;
  const work = (): void => {
    for (let index = 0; index < count; index++, offset += bytes) {
      if (offset + bytes > memory.byteLength) offset = 0;
      const array = new Float32Array(memory, offset, elements);
      if (isFilled) array.fill(index);
      else array[0] = array[elements - 1] = index;
      seen[index] = array[0]! + array[elements - 1]!;
    }
  };
  return hostWork(work, () => seen);
}

function elementAccess({ inputs, values }: Problem): Prepared {
  const data = inputOf(inputs, "x").data as Float32Array;
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  let sum = 0;
  const work = (): void => {
    sum = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) sum += data[row * columns + column]!;
    }
  };
  return hostWork(work, () => Float32Array.of(sum));
}

function variants(
  ...makes: readonly ((problem: Problem, kit: Kit) => Prepared)[]
): readonly RawVariant[] {
  return makes.map((make) => (problem, kit) => Promise.resolve(make(problem, kit)));
}

export const hostMemory: Readonly<Record<string, readonly RawVariant[]>> = {
  "bump allocation": variants(bump),
  "pinned allocation": variants(pinned),
  "copy into pinned memory": variants(copyIntoPinned),
  "array in an arena": variants(arrays),
  "array on the general heap": variants(arrays),
  "element access": variants(elementAccess),
  "general heap allocation": variants(blocksOfTheirOwn, blocksOfPages),
};
