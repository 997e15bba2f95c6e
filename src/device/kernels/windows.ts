/**
 * What of a block a dispatch has to bind. WebGPU binds no more than a device's limit at once: of a tensor
 * that is larger, each dispatch binds a window, and an operation on all of it is made in parts.
 */

import { alignDown, alignUp } from "../../host/alignment.ts";
import type { Layout } from "../../host/layout.ts";
import type { BindingWindow } from "../stream/launch.ts";

/** Elements from the first to behind the last that a layout reaches, whatever lies between. O(rank). */
export function reachOf({ shape, strides }: Pick<Layout, "shape" | "strides">): number {
  let reach = 1;
  for (let axis = 0; axis < shape.length; axis++) {
    reach += (shape[axis]! - 1) * Math.abs(strides[axis]!);
  }
  return reach;
}

/** The window of whole granules that holds what a layout reaches. O(rank). */
export function windowOf(
  layout: Layout,
  elementBytes: number,
  granuleBytes: number,
): BindingWindow {
  let first = layout.offset;
  for (let axis = 0; axis < layout.rank; axis++) {
    first += Math.min(0, (layout.shape[axis]! - 1) * layout.strides[axis]!);
  }
  const byteOffset = alignDown(first * elementBytes, granuleBytes);
  const end = alignUp((first + reachOf(layout)) * elementBytes, granuleBytes);
  return { byteOffset, byteLength: end - byteOffset };
}
