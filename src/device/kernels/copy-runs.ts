/**
 * Copies that need no kernel: where elements lie in a few runs of whole words on both sides, the device
 * copies those itself, in a small part of the time that a kernel takes. So it clears memory, too.
 */

import { dtypeInfo } from "../../host/dtype.ts";
import type { DType } from "../../host/dtype.ts";
import { broadcastLayout } from "../../host/layout.ts";
import type { Layout } from "../../host/layout.ts";
import type { AnyTensor } from "../executor.ts";
import type { ByteRun } from "../stream/copies.ts";
import { coalesce } from "./coalesce.ts";

/** Each run is a command of its own, for about 2 µs: so many cost no more than a dispatch does. */
const mostRuns = 8;

/**
 * The runs from the elements of `input` to those of a tensor, or of a layout of new memory; `null` where
 * there are too many, or where they do not lie on words. O(rank + runs).
 */
export function copyRuns(
  input: AnyTensor,
  shape: Layout,
  target: AnyTensor | null,
): readonly ByteRun[] | null {
  const view = broadcastLayout(input.layout, shape.shape);
  const place = target?.layout ?? shape;
  const isTargetWhole = target === null || target.isWhole;
  if (input.isWhole && isTargetWhole && view.isContiguous) {
    // Padding is the owner's: the last word may be copied whole.
    return [{ from: 0, to: 0, byteLength: wordBytes(input.dtype, shape.count) }];
  }
  const both = coalesce(shape.shape, [view.strides, place.strides]);
  return runsOf(both.shape, both.strides, [view.offset, place.offset], input.dtype);
}

/** The bytes of a tensor or view, if they lie in a run of words. */
export function runOf({ layout, dtype, isWhole }: AnyTensor): readonly ByteRun[] | null {
  const { isContiguous, offset, count } = layout;
  if (isWhole) return [{ from: 0, to: 0, byteLength: wordBytes(dtype, count) }];
  return isContiguous ? runsOf([count], [[1], [1]], [offset, offset], dtype) : null;
}

function wordBytes(dtype: DType, count: number): number {
  return Math.ceil((count * dtypeInfo(dtype).bytes) / 4) * 4;
}

function runsOf(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  offsets: readonly number[],
  dtype: DType,
): readonly ByteRun[] | null {
  const { bytes } = dtypeInfo(dtype);
  const last = shape.length - 1;
  const isRun = strides.every((own) => own[last] === 1);
  const length = isRun ? shape[last]! : 1;
  const outer = isRun ? shape.slice(0, last) : shape;
  if (outer.reduce((count, extent) => count * extent, 1) > mostRuns) return null;
  let runs = [{ from: offsets[0]! * bytes, to: offsets[1]! * bytes, byteLength: length * bytes }];
  for (const [axis, extent] of outer.entries()) {
    const [from, to] = strides.map((own) => own[axis]! * bytes) as [number, number];
    runs = runs.flatMap((run) =>
      Array.from({ length: extent }, (_, step) => ({
        ...run,
        from: run.from + step * from,
        to: run.to + step * to,
      })),
    );
  }
  const isOnWords = (run: ByteRun): boolean =>
    run.from % 4 === 0 && run.to % 4 === 0 && run.byteLength % 4 === 0;
  return runs.every(isOnWords) ? runs : null;
}
