/** The handles inside any value: what a scope's result may carry away with it. */

import { PinnedTensor } from "../host/pinned/pinned-tensor.ts";
import { HostTensor } from "../host/tensor/host-tensor.ts";
import { Tensor } from "./tensor.ts";

export type Handle = Tensor | PinnedTensor | HostTensor;

/** Deeper than a result of a result is nobody's return value, and looking costs time. */
const depthReached = 3;

/** The tensors in a value: itself, and those in arrays, plain objects, maps and sets, three deep. */
export function* handlesIn(value: unknown, depth = depthReached): Iterable<Handle> {
  if (value instanceof Tensor || value instanceof PinnedTensor || value instanceof HostTensor) {
    yield value;
    return;
  }
  if (depth === 0 || typeof value !== "object" || value === null || ArrayBuffer.isView(value)) {
    return;
  }
  for (const part of partsOf(value)) yield* handlesIn(part, depth - 1);
}

function partsOf(value: object): Iterable<unknown> {
  const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  if (isPlain) return Object.values(value);
  return value instanceof Map || value instanceof Set ? value.values() : [];
}
