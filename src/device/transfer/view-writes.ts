/**
 * An array into a view: a few writes where the view's elements lie in a few runs of whole words, else
 * one write to scratch and a kernel that puts every element where it belongs.
 */

import { dtypeInfo } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import { contiguousLayout, shapeText } from "../../host/layout.ts";
import type { Layout } from "../../host/layout.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor, Placer } from "../executor.ts";
import { copyOperation } from "../kernels/builtin.ts";

/** A write through the queue costs about 2 µs; scratch, its write and a dispatch cost as much as ten. */
const mostRuns = 8;

/** Elements of a view that lie side by side, and where such runs begin, in elements. */
interface Runs {
  readonly length: number;
  readonly starts: readonly number[];
}

/**
 * Writes `data`, row-major, into the elements of a view. O(elements). Throws `INVALID_LAYOUT` where
 * elements of the view share memory.
 */
export function writeView(
  context: DeviceContext,
  target: AnyTensor,
  data: ArrayBufferView,
  scratch: Placer,
  placer: Placer,
): void {
  const { layout, dtype, label, block } = target;
  requireApart(layout, label);
  const elementBytes = dtypeInfo(dtype).bytes;
  const runs = runsOf(layout);
  const isWords = (elements: number): boolean => (elements * elementBytes) % 4 === 0;
  if (runs !== null && isWords(runs.length) && runs.starts.every(isWords)) {
    const byteLength = runs.length * elementBytes;
    for (const [index, start] of runs.starts.entries()) {
      const from = data.byteOffset + index * byteLength;
      const run = new Uint8Array(data.buffer, from, byteLength);
      context.transfers.fromArray(run, block, start * elementBytes);
    }
    return;
  }
  const whole = { dtype, layout: contiguousLayout(layout.shape, label), label };
  const staged = context.executor.place(whole, scratch, 0);
  context.transfers.fromArray(data, staged.block);
  context.elementwise.run(copyOperation, { inputs: [staged], output: dtype, target }, placer);
}

/** The runs of a view, or `null` where there are too many. */
function runsOf({ shape, strides, offset, count }: Layout): Runs | null {
  if (count === 0) return { length: 0, starts: [] };
  let length = 1;
  let outer = shape.length;
  while (outer > 0 && (strides[outer - 1] === length || shape[outer - 1] === 1)) {
    outer--;
    length *= shape[outer]!;
  }
  if (count / length > mostRuns) return null;
  let starts = [offset];
  for (let axis = 0; axis < outer; axis++) {
    const steps = Array.from({ length: shape[axis]! }, (_, step) => step * strides[axis]!);
    starts = starts.flatMap((start) => steps.map((step) => start + step));
  }
  return { length, starts };
}

function requireApart({ shape, strides }: Layout, label: string): void {
  if (!shape.some((extent, axis) => extent > 1 && strides[axis] === 0)) return;
  throw new InvalidArgumentError(
    "INVALID_LAYOUT",
    `"${label}" is a broadcast of shape ${shapeText(shape)}: several of its elements are one, and cannot be written; write the tensor that it shows`,
    { label },
  );
}
