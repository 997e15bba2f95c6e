import { GeneralHeap, hostTensor } from "../../../src/index.ts";

const heap = new GeneralHeap();
const matrix = hostTensor(heap, { shape: [2, 3], dtype: "float32" });
const long = hostTensor(heap, { shape: [100], dtype: "float64" });
const scalar = hostTensor(heap, { shape: [], dtype: "int8" });

export function read(row: number): number[] {
  // expect-error TS2345
  matrix.set(1, 2, 0);
  // expect-error TS2345
  matrix.set(1, row, 3);
  return [
    // expect-error TS2345
    matrix.at(2, 0),
    // expect-error TS2345
    matrix.at(0, 3),
    // expect-error TS2345
    matrix.at(0, -4),
    // expect-error TS2345
    matrix.at(-3, 0),
    // expect-error TS2345
    matrix.at(0.5, 0),
    // expect-error TS2345
    matrix.at(row, 10),
    // expect-error TS2345
    matrix.at(0),
    // expect-error TS2345
    matrix.at(0, 0, 0),
    // expect-error TS2345
    matrix.transpose().at(1, 2),
    // expect-error TS2345
    matrix.reshape([3, 2]).at(1, 2),
    // expect-error TS2345
    matrix.broadcast([4, 2, 3]).at(4, 0, 0),
    // expect-error TS2345
    matrix.cast("int16").at(2, 2),
    // expect-error TS2345
    long.at(100),
    // expect-error TS2345
    long.at(1000),
    // expect-error TS2345
    long.at(-101),
    // expect-error TS2345
    scalar.at(0),
  ];
}
