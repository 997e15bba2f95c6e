/** Arrays and tensors on the host: an arena, the general heap, and access by index. */

import { HotArena, hostTensor, PagePool } from "moorage";
import type { Runtime } from "moorage";

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem, Variant } from "../../core/contract.ts";
import { hostWork } from "../../core/host-work.ts";

/** Writes a number to both ends of an array, or all over it, and gives their sum. */
function touch(array: Float32Array, value: number, isFilled: boolean): number {
  if (isFilled) array.fill(value);
  else array[0] = array[array.length - 1] = value;
  return array[0]! + array[array.length - 1]!;
}

export function arraysInArena({ values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const isFilled = valueOf(values, "isFilled") === 1;
  const arena = new HotArena(new PagePool({ pageBytes: 2 ** 22 }), "bench arena");
  const seen = new Float32Array(count);
  const work = (): void => {
    for (let index = 0; index < count; index++) {
      if (arena.usedBytes + 4 * elements > 2 ** 22) arena.reset("retain");
      seen[index] = touch(arena.array("float32", elements), index, isFilled);
    }
  };
  return hostWork(
    work,
    () => seen,
    () => arena.end(),
  );
}

export function arraysOnHeap(runtime: Runtime, { values }: Problem): Prepared {
  const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
  const seen = new Float32Array(count);
  const work = (): void => {
    for (let index = 0; index < count; index++) {
      const block = runtime.general.alloc({ byteLength: 4 * elements });
      seen[index] = touch(block.array("float32"), index, false);
      block.dispose();
    }
  };
  return hostWork(work, () => seen);
}

/** Both pairs of accessors: what the checks cost is in the variants' times. */
export function elementAccess(runtime: Runtime, { inputs, values }: Problem): readonly Variant[] {
  const { data } = inputOf(inputs, "x");
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const variant = (name: string, isChecked: boolean): Variant => {
    return () => {
      const x = hostTensor(runtime.general, {
        shape: [rows, columns],
        dtype: "float32",
        label: "x",
      });
      x.assign(data);
      let sum = 0;
      const checked = (): void => {
        sum = 0;
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < columns; column++) sum += x.at(row, column);
        }
      };
      const unchecked = (): void => {
        sum = 0;
        x.refresh();
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < columns; column++) sum += x.uncheckedAt(row, column);
        }
      };
      const work = hostWork(
        isChecked ? checked : unchecked,
        () => Float32Array.of(sum),
        () => x.dispose(),
      );
      return Promise.resolve({ ...work, variant: name });
    };
  };
  return [variant("unchecked pair", false), variant("at", true)];
}
