/** Element-wise operations on tensors that are too large to be bound: one dispatch for each part. */

import { dtypeInfo } from "../../host/dtype.ts";
import { broadcastLayout, Layout } from "../../host/layout.ts";
import type { AnyTensor, Executor, Placer } from "../executor.ts";
import { coalesce } from "./coalesce.ts";
import type {
  ElementwiseOperation,
  ElementwiseRunner,
  ElementwiseUse,
} from "./elementwise-operation.ts";
import { reachOf } from "./windows.ts";

/** Elements of a part along a single axis are a multiple of this: every part starts on whole words. */
const runElements = 256;

/** The operands of a part: inputs, then the output. */
interface Part {
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
  readonly offsets: readonly number[];
}

/** Runs an operation with `layout` as its output's; O(parts × operands). */
export function elementwiseInParts(
  kernels: ElementwiseRunner,
  executor: Executor,
  operation: ElementwiseOperation,
  use: ElementwiseUse & { readonly layout: Layout },
  placer: Placer,
): AnyTensor {
  const { inputs, output: dtype, layout } = use;
  const label = use.label ?? operation.label;
  const target = use.target ?? executor.place({ dtype, layout: plain(layout), label }, placer, 0);
  const views = inputs.map((input) => broadcastLayout(input.layout, layout.shape));
  const operands = [...views, target.layout];
  const bytes = [...inputs, target].map((operand) => dtypeInfo(operand.dtype).bytes);
  const { shape, strides } = coalesce(
    layout.shape,
    operands.map((view) => view.strides),
  );
  const whole = { shape, strides, offsets: operands.map(({ offset }) => offset) };
  try {
    for (const part of partsOf(whole, bytes, executor.partBytes)) {
      const layouts = part.strides.map((own, k) => new Layout(part.shape, own, part.offsets[k]!));
      kernels.run(
        operation,
        {
          // An input of one element serves every part as it is.
          inputs: inputs.map((input, k) => input.viewAs(one(input) ?? layouts[k]!)),
          output: dtype,
          target: target.viewAs(layouts.at(-1)!),
          isRun: isRun(layouts.at(-1)!, target),
          ...(use.values && { values: use.values }),
        },
        placer,
      );
    }
  } catch (error) {
    if (target !== use.target) target.dispose();
    throw error;
  }
  return target;
}

function one({ size, offset }: AnyTensor): Layout | null {
  return size === 1 ? new Layout([], [], offset) : null;
}

function plain(layout: Layout): Layout {
  return layout.offset === 0 ? layout : new Layout(layout.shape, layout.strides, 0);
}

/** Whether a kernel may write four elements at a time: all four are this layout's own. */
function isRun(layout: Layout, target: AnyTensor): boolean {
  const { isContiguous, offset, count } = layout;
  if (!isContiguous || offset % 4 !== 0) return false;
  return count % 4 === 0 || (target.isWhole && offset + count === target.size);
}

/** Cuts along the outermost axis, and further in where one step of it is too large already. */
function* partsOf(part: Part, bytes: readonly number[], mostBytes: number): Iterable<Part> {
  const { shape, strides, offsets } = part;
  const [extent] = shape as [number];
  const step = stepsIn(part, bytes, mostBytes);
  if (step >= extent) {
    yield part;
    return;
  }
  for (let start = 0; start < extent; start += Math.max(1, step)) {
    const moved = offsets.map((offset, operand) => offset + start * strides[operand]![0]!);
    if (step >= 1) {
      const steps = Math.min(step, extent - start);
      yield { shape: [steps, ...shape.slice(1)], strides, offsets: moved };
      continue;
    }
    const inner = { shape: shape.slice(1), strides: strides.map((own) => own.slice(1)) };
    yield* partsOf({ ...inner, offsets: moved }, bytes, mostBytes);
  }
}

/** How many steps along the outermost axis all operands have room for. */
function stepsIn({ shape, strides }: Part, bytes: readonly number[], mostBytes: number): number {
  const [extent] = shape as [number];
  let most = extent;
  for (const [operand, own] of strides.entries()) {
    const stride = Math.abs(own[0]!);
    const inner = reachOf({ shape: shape.slice(1), strides: own.slice(1) });
    const elements = Math.floor(mostBytes / bytes[operand]!);
    if (inner > elements) return 0;
    if (stride > 0) most = Math.min(most, Math.floor((elements - inner) / stride) + 1);
  }
  if (shape.length > 1 || most >= extent) return most;
  return most > runElements ? Math.floor(most / runElements) * runElements : most;
}
