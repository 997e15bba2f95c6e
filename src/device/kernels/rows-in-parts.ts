/**
 * Operations along an axis of a contiguous [outer, length, inner] tensor that is too large to be bound.
 * Whole rows are shared out among parts; a row that is too large itself is folded part by part.
 */

import { dtypeInfo } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import { contiguousLayout, Layout } from "../../host/layout.ts";
import { reducedDtype } from "../../shaders/reduce.ts";
import type { Reduction } from "../../shaders/reduce.ts";
import type { AnyTensor, Executor, Placer } from "../executor.ts";
import { binaryOperations, castOperation } from "./builtin.ts";
import type { ElementwiseOperation, ElementwiseRunner } from "./elementwise-operation.ts";
import type { Destination, RowKernels, Rows } from "./rows.ts";

/** Fewer steps of an axis than this in one part: then folding by element is less work than by part. */
const fewestSteps = 8;

const folds = {
  sum: binaryOperations.add,
  min: binaryOperations.minimum,
  max: binaryOperations.maximum,
} as const;

/** The later of two candidates where its value is larger: the first of equals stays. */
const pickIndex: ElementwiseOperation = {
  label: "argmax of parts",
  inputs: ["index", "value", "later_index", "later_value"],
  parameters: [{ name: "start", type: "u32" }],
  text: () => ({ expression: "select(index, later_index + P.start, later_value > value)" }),
  isUserDefined: false,
};

/** Runs `compute` on parts of whole rows, each into its part of a new tensor of the same shape. */
export function rowsInParts(
  executor: Executor,
  input: AnyTensor,
  rows: Rows,
  label: string,
  placer: Placer,
  compute: (part: AnyTensor, rows: Rows, target: AnyTensor) => unknown,
): AnyTensor {
  const step = rowsIn(executor, input, rows, label);
  const { dtype, shape } = input;
  const target = executor.place({ dtype, layout: contiguousLayout(shape), label }, placer, 0);
  const rowSize = rows.length * rows.inner;
  try {
    for (let start = 0; start < rows.outer; start += step) {
      const own = { ...rows, outer: Math.min(step, rows.outer - start) };
      const extents = [own.outer, rows.length, rows.inner];
      const partOf = (tensor: AnyTensor): AnyTensor => run(tensor, start * rowSize, extents);
      compute(partOf(input), own, partOf(target));
    }
  } catch (error) {
    target.dispose();
    throw error;
  }
  return target;
}

/** Whole rows that a part has room for; throws `LIMIT_EXCEEDED` where it has none for one. */
function rowsIn(executor: Executor, input: AnyTensor, rows: Rows, label: string): number {
  const rowBytes = rows.length * rows.inner * dtypeInfo(input.dtype).bytes;
  const step = Math.floor(executor.partBytes / rowBytes);
  if (step >= 1) return step;
  throw tooLong(executor, input, rowBytes, label);
}

function tooLong(
  { partBytes }: Executor,
  { label }: AnyTensor,
  byteLength: number,
  operation: string,
): InvalidArgumentError {
  return new InvalidArgumentError(
    "LIMIT_EXCEEDED",
    `${operation} of "${label}" needs ${byteLength} bytes in one binding, and this device binds ${partBytes}; slice() it into parts`,
    { label },
  );
}

/** Elements of a contiguous tensor, under another shape. */
function run(tensor: AnyTensor, start: number, shape: readonly number[]): AnyTensor {
  const { strides } = contiguousLayout(shape);
  return tensor.viewAs(new Layout(shape, strides, tensor.layout.offset + start));
}

/** {@link RowKernels.reduce} of a tensor that is too large to be bound. */
export function reduceInParts(
  kernels: RowKernels,
  elementwise: ElementwiseRunner,
  executor: Executor,
  reduction: Reduction,
  input: AnyTensor,
  rows: Rows,
  to: Destination,
): AnyTensor {
  const dtype = reducedDtype(reduction, input.dtype);
  const { outer, length, inner } = rows;
  const { layout, label, placer } = to;
  if (outer === 1) {
    return reduction === "argmax"
      ? argmaxOfRow(kernels, elementwise, executor, input, rows, to)
      : foldRow(kernels, elementwise, executor, reduction, input, rows, to);
  }
  const target = to.target ?? executor.place({ dtype, layout, label }, placer, 0);
  const resultBytes = inner * dtypeInfo(dtype).bytes;
  const rowBytes = Math.max(length * inner * dtypeInfo(input.dtype).bytes, resultBytes);
  const step = Math.max(1, Math.floor(executor.partBytes / rowBytes));
  try {
    for (let start = 0; start < outer; start += step) {
      const own = { outer: Math.min(step, outer - start), length, inner };
      const part = run(input, start * length * inner, [own.outer, length, inner]);
      const place = run(target, start * inner, [own.outer * inner]);
      kernels.reduce(reduction, part, own, { ...to, layout: place.layout, target: place });
    }
  } catch (error) {
    if (target !== to.target) target.dispose();
    throw error;
  }
  return target;
}

/** One row: its parts are folded each, and then together; or, of a few steps, one by one. */
function foldRow(
  kernels: RowKernels,
  elementwise: ElementwiseRunner,
  executor: Executor,
  reduction: "sum" | "min" | "max",
  input: AnyTensor,
  { length, inner }: Rows,
  to: Destination,
): AnyTensor {
  const { layout, label, placer, scratch } = to;
  const dtype = reducedDtype(reduction, input.dtype);
  // Of a byte each, the results of a part could be larger than the part.
  const elementBytes = Math.max(dtypeInfo(input.dtype).bytes, dtypeInfo(dtype).bytes);
  const step = Math.floor(executor.partBytes / (inner * elementBytes));
  if (step >= fewestSteps) {
    const count = Math.ceil(length / step);
    const spec = { dtype, layout: contiguousLayout([count * inner]), label: `${label} (parts)` };
    const partials = executor.place(spec, scratch, 0);
    for (let index = 0; index < count; index++) {
      const start = index * step;
      const own = { outer: 1, length: Math.min(step, length - start), inner };
      const part = run(input, start * inner, [own.length, inner]);
      const target = run(partials, index * inner, [inner]);
      kernels.reduce(reduction, part, own, { ...to, layout: target.layout, target });
    }
    const result = kernels.reduce(reduction, partials, { outer: 1, length: count, inner }, to);
    partials.dispose();
    return result;
  }
  const stepAt = (index: number): AnyTensor => run(input, index * inner, [inner]);
  const cast = { inputs: [stepAt(0)], output: dtype };
  let folded = elementwise.run(castOperation, cast, scratch);
  for (let index = 1; index < length; index++) {
    const next = elementwise.run(
      castOperation,
      { inputs: [stepAt(index)], output: dtype },
      scratch,
    );
    const sum = { inputs: [folded, next], output: dtype };
    const both = elementwise.run(folds[reduction], sum, scratch);
    folded.dispose();
    next.dispose();
    folded = both;
  }
  // Its shape is the row's; the result's may have other axes of one element.
  const target = to.target ?? executor.place({ dtype, layout, label }, placer, 0);
  const place = { inputs: [folded], output: dtype, target: run(target, 0, [inner]) };
  elementwise.run(castOperation, { ...place, isRun: target.isWhole }, placer);
  folded.dispose();
  return target;
}

/** One row: of each part the index and its value, and of those the first of the largest. */
function argmaxOfRow(
  kernels: RowKernels,
  elementwise: ElementwiseRunner,
  executor: Executor,
  input: AnyTensor,
  { length, inner }: Rows,
  to: Destination,
): AnyTensor {
  const { label, layout, placer, scratch } = to;
  const dtype = reducedDtype("max", input.dtype);
  const most = executor.partBytes / (inner * dtypeInfo(dtype).bytes);
  if (most < 1) throw tooLong(executor, input, inner * dtypeInfo(dtype).bytes, label);
  const step = Math.floor(most);
  const ofPart = (start: number): readonly [index: AnyTensor, value: AnyTensor] => {
    const own = { outer: 1, length: Math.min(step, length - start), inner };
    const part = run(input, start * inner, [own.length, inner]);
    const inScratch = { layout: contiguousLayout([inner]), label, placer: scratch, scratch };
    return [
      kernels.reduce("argmax", part, own, inScratch),
      kernels.reduce("max", part, own, inScratch),
    ];
  };
  let [index, value] = ofPart(0);
  for (let start = step; start < length; start += step) {
    const later = ofPart(start);
    const pick = {
      inputs: [index, value, ...later],
      output: "uint32" as const,
      values: [start],
    };
    const both = { inputs: [value, later[1]], output: value.dtype };
    const picked = [
      elementwise.run(pickIndex, pick, scratch),
      elementwise.run(binaryOperations.maximum, both, scratch),
    ] as const;
    for (const old of [index, value, ...later]) old.dispose();
    [index, value] = picked;
  }
  const target = to.target ?? executor.place({ dtype: "uint32", layout, label }, placer, 0);
  const place = { inputs: [index], output: "uint32" as const, target: run(target, 0, [inner]) };
  elementwise.run(castOperation, { ...place, isRun: target.isWhole }, placer);
  index.dispose();
  value.dispose();
  return target;
}
