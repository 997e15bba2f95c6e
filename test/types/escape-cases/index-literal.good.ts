import { GeneralHeap, hostTensor } from "../../../src/index.ts";

const heap = new GeneralHeap();
const matrix = hostTensor(heap, { shape: [2, 3], dtype: "float32" });
const long = hostTensor(heap, { shape: [100], dtype: "float64" });
const scalar = hostTensor(heap, { shape: [], dtype: "int8" });
const shape: number[] = [2, 3];
const unknownShape = hostTensor(heap, { shape, dtype: "float32" });

export function read(row: number): number[] {
  matrix.set(1, 0, 0);
  matrix.set(1, row, 2);
  return [
    matrix.at(1, 2),
    matrix.at(-1, -3),
    matrix.at(-2, 0),
    matrix.at(row, 1),
    matrix.at(row, row),
    matrix.transpose().at(2, 1),
    matrix.reshape([3, 2]).at(2, 1),
    matrix.broadcast([4, 2, 3]).at(3, 1, 2),
    matrix.cast("int16").at(1, 2),
    long.at(99),
    long.at(9),
    long.at(-100),
    scalar.at(),
    unknownShape.at(5, 5, 5),
  ];
}
