/**
 * A user's whole entry point on tensors that one dispatch cannot bind, or with more workgroups than it can
 * have: cut along an axis that the kernel's author has declared, one dispatch for each part.
 */

import type { DType } from "../../host/dtype.ts";
import { dtypeInfo } from "../../host/dtype.ts";
import { InvalidArgumentError } from "../../host/errors.ts";
import { Layout, shapeText } from "../../host/layout.ts";
import { reachOf } from "./windows.ts";

export interface KernelSplit {
  /**
   * By name, the axis along which a tensor may be cut. Part k of the outputs, all of which are named, has to
   * depend on part k of these inputs alone; inputs that are not named are given whole to every part. The
   * kernel sees a part as if it were all there is: `t_extent<axis>()` is the part's.
   */
  readonly axes: { readonly [tensor: string]: number };
  /** Which axis of `invocations` goes along the cut: each part has its share of it. Default 0. */
  readonly invocations?: 0 | 1 | 2;
}

/** A tensor of a run, by its layout. */
export interface SplitOperand {
  readonly name: string;
  readonly label: string;
  readonly dtype: DType;
  readonly layout: Layout;
}

/** One dispatch: the layouts of all operands, and the share of the invocations. */
export interface SplitPart {
  readonly layouts: readonly Layout[];
  readonly invocations: number;
}

/** Throws `INVALID_ARGUMENT` for a split that no tensors could have. */
export function checkSplit(
  label: string,
  { axes, invocations = 0 }: KernelSplit,
  names: readonly string[],
  outputs: readonly string[],
): void {
  const problem = (what: string): InvalidArgumentError =>
    new InvalidArgumentError("INVALID_ARGUMENT", `the split of kernel "${label}" ${what}`, {
      label,
    });
  for (const [name, axis] of Object.entries(axes)) {
    if (!names.includes(name)) throw problem(`names ${name}, which is none of its tensors`);
    if (!Number.isInteger(axis) || axis < 0)
      throw problem(`gives ${name} the axis ${axis}; count from 0`);
  }
  const missing = outputs.find((name) => !(name in axes));
  if (missing !== undefined) throw problem(`leaves out the output ${missing}: give its axis, too`);
  if (![0, 1, 2].includes(invocations))
    throw problem(`goes along invocations[${invocations}]; there are 0, 1 and 2`);
}

/**
 * The parts of a run, the first rows first. Throws `INVALID_LAYOUT` where the tensors are not equally long
 * along the cut, `LIMIT_EXCEEDED` where a single step of it is too much.
 *
 * @param mostInvocations - along the cut, in one dispatch
 */
export function* partsOf(
  label: string,
  { axes }: KernelSplit,
  operands: readonly SplitOperand[],
  invocations: number,
  limits: { readonly partBytes: number; readonly mostInvocations: number },
): Iterable<SplitPart> {
  const cut = operands.filter(({ name }) => name in axes);
  const extent = extentOf(label, axes, cut);
  // Multiplied first: these are whole numbers below 2^53, and the quotients of two are exact enough.
  let most = Math.min(extent, Math.floor((limits.mostInvocations * extent) / invocations));
  for (const { name, dtype, layout } of cut)
    most = Math.min(most, stepsIn(layout, axes[name]!, limits.partBytes / dtypeInfo(dtype).bytes));
  if (most < 1) {
    throw new InvalidArgumentError(
      "LIMIT_EXCEEDED",
      `kernel "${label}" is cut along ${extent} steps, and one of them is more than this device binds or dispatches at once; cut it along an axis of smaller steps, or run it on slices`,
      { label },
    );
  }
  for (let start = 0; start < extent; start += most) {
    const steps = Math.min(most, extent - start);
    yield {
      layouts: operands.map(({ name, layout }) =>
        name in axes ? rowsOf(layout, axes[name]!, start, steps) : layout,
      ),
      invocations: Math.max(1, Math.ceil((invocations * steps) / extent)),
    };
  }
}

function extentOf(label: string, axes: KernelSplit["axes"], cut: readonly SplitOperand[]): number {
  const [first] = cut as [SplitOperand, ...SplitOperand[]];
  const extent = first.layout.shape[axes[first.name]!];
  for (const { name, label: tensor, layout } of cut) {
    const own = layout.shape[axes[name]!];
    if (own !== undefined && own === extent) continue;
    throw new InvalidArgumentError(
      "INVALID_LAYOUT",
      `kernel "${label}" is cut along axis ${axes[name]} of ${name}, and "${tensor}" has shape ${shapeText(layout.shape)}, where ${first.name} has ${shapeText(first.layout.shape)}: all have to be equally long there`,
      { label: tensor },
    );
  }
  return extent!;
}

/** How many steps along an axis reach no further than so many elements. */
function stepsIn({ shape, strides }: Layout, axis: number, elements: number): number {
  const inner = reachOf({ shape: shape.toSpliced(axis, 1), strides: strides.toSpliced(axis, 1) });
  const stride = Math.abs(strides[axis]!);
  if (inner > elements) return 0;
  return stride === 0 ? shape[axis]! : Math.floor((elements - inner) / stride) + 1;
}

function rowsOf(
  { shape, strides, offset }: Layout,
  axis: number,
  start: number,
  steps: number,
): Layout {
  return new Layout(shape.with(axis, steps), strides, offset + start * strides[axis]!);
}
