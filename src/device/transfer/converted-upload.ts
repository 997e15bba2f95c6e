/**
 * Elements that change their dtype on the way to the device. Narrow ones travel as they are, and the
 * device converts them; others are converted by the host, straight into memory that the device copies
 * from, where some is mapped.
 */

import { arrayOver, dtypeInfo, dtypes, hostDtypeInfo, newArray } from "../../host/dtype.ts";
import type { ArrayOf, DType, HostDType } from "../../host/dtype.ts";
import { contiguousLayout } from "../../host/layout.ts";
import { convertElements } from "../../host/tensor/conversion.ts";
import type { DeviceContext } from "../context.ts";
import type { AnyTensor, Placer } from "../executor.ts";
import { castOperation } from "../kernels/builtin.ts";
import { writeView } from "./view-writes.ts";

/** Elements on the host, row-major. */
export interface HostElements {
  readonly dtype: HostDType;
  /** The array that they are, where they lie in one. */
  readonly array: ArrayBufferView | null;
  /** Writes them to an array of another dtype. */
  writeTo(dtype: DType, target: ArrayOf[DType]): void;
}

/** The elements of an array. */
export function elementsOf(dtype: HostDType, array: ArrayBufferView): HostElements {
  return {
    dtype,
    array,
    writeTo: (to, target) => convertElements(dtype, array as never, to, target),
  };
}

/** Writes elements of any dtype of the host to a tensor or view; O(elements). */
export function uploadConverted(
  context: DeviceContext,
  elements: HostElements,
  target: AnyTensor,
  scratch: Placer,
  placer: Placer,
): void {
  const { executor, transfers, elementwise, belt } = context;
  const { dtype, layout, label } = target;
  const { array } = elements;
  const narrow = narrower(elements.dtype, dtype);
  if (narrow !== null && array !== null) {
    const spec = { dtype: narrow, layout: contiguousLayout(layout.shape, label), label };
    const staged = executor.place(spec, scratch, 0);
    transfers.fromArray(array, staged.block);
    elementwise.run(castOperation, { inputs: [staged], output: dtype, target }, placer);
    return;
  }
  const byteLength = layout.count * dtypeInfo(dtype).bytes;
  const { count } = layout;
  const isInPlace =
    target.isWhole &&
    belt.fill(target.block, 0, byteLength, (memory, at) => {
      elements.writeTo(dtype, arrayOver(dtype, memory, at, count));
    });
  if (isInPlace) return;
  const converted = newArray(dtype, count);
  elements.writeTo(dtype, converted);
  if (target.isWhole) transfers.fromArray(converted, target.block);
  else writeView(context, target, converted, scratch, placer);
}

/** The dtype of the device to carry elements in, where that is fewer bytes than converting them first. */
function narrower(from: HostDType, to: DType): DType | null {
  const carried = from === "bool" ? "uint8" : from;
  const isOnDevice = (dtypes as readonly HostDType[]).includes(carried);
  if (!isOnDevice || hostDtypeInfo(from).bytes >= dtypeInfo(to).bytes) return null;
  return carried as DType;
}
