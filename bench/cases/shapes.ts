/** Random tensors and the index arithmetic of row-major shapes, for inputs and references. */

import { inputOf, valueOf } from "../core/contract.ts";
import type { Expected, HostTensor, Random } from "../core/contract.ts";

export type Values = Readonly<Record<string, number>>;
export type Inputs = Readonly<Record<string, HostTensor>>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((count, extent) => count * extent, 1);
}

/** float32 in [low, high). */
export function randomTensor(
  random: Random,
  shape: readonly number[],
  low = -1,
  high = 1,
): HostTensor {
  return { shape, data: random.floats(sizeOf(shape), low, high) };
}

/** Several values of a size by name. */
export function read<const N extends readonly string[]>(
  values: Values,
  ...names: N
): { [K in keyof N]: number } {
  return names.map((name) => valueOf(values, name)) as { [K in keyof N]: number };
}

export function dataOf(inputs: Inputs, name: string): ArrayLike<number> {
  return inputOf(inputs, name).data;
}

export function float32Output(shape: readonly number[], at: (index: number) => number): Expected {
  return { shape, dtype: "float32", at };
}

/** A reference that is computed as a whole, once, when it is first asked for. */
export function wholeOutput(shape: readonly number[], compute: () => ArrayLike<number>): Expected {
  let all: ArrayLike<number> | undefined;
  return float32Output(shape, (index) => (all ??= compute())[index]!);
}

/** `a [m, k]` times `b [k, n]` in float64. */
export function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  k: number,
  n: number,
): Float64Array {
  const result = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let inner = 0; inner < k; inner++) {
      const factor = a[row * k + inner]!;
      const [from, to] = [inner * n, row * n];
      for (let column = 0; column < n; column++) {
        result[to + column]! += factor * b[from + column]!;
      }
    }
  }
  return result;
}
