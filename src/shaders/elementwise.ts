/**
 * Element-wise kernels: fill, copy, cast, unary, binary and user-defined bodies over any number of
 * inputs. An invocation makes four elements of the output, so that it writes whole words whatever
 * the dtype. Linear kernels read contiguous inputs through `vec4`; strided ones compute an index.
 */

import { dtypeInfo } from "../host/dtype.ts";
import type { DType } from "../host/dtype.ts";
import {
  declareBindings,
  declareLoad,
  declareLoad4,
  declareParameters,
  declareStore,
  declareStore4,
  linearIndex,
  linearMain,
  planFits,
} from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export interface ElementwiseSpec {
  readonly inputs: readonly {
    readonly name: string;
    readonly dtype: DType;
    readonly form: InputForm;
  }[];
  readonly output: DType;
  /** The author's parameters, after the kernel's own. */
  readonly parameters: readonly Parameter[];
  /** An expression over the inputs' names and `P.<parameter>`; its type is the output's scalar. */
  readonly expression?: string;
  /** Or statements that end in `return`. */
  readonly body?: string;
  /** Axes of the index computation where any operand is strided. */
  readonly rank: number;
  /** Where the output is a view: strided too, one element at a time. */
  readonly isOutputStrided: boolean;
}

/** How an input lies: `row` by row, one element for all (`one`), or anyhow (`strided`). */
export type InputForm = "row" | "one" | "strided";

/** The text before the author's body, so that line numbers in messages can be counted from it. */
export const bodyMarker = "// -- body --";

/** The kernel's own parameters, in the order in which their words are written. */
export function elementwiseParameters(spec: ElementwiseSpec): Parameter[] {
  const names = ["count"];
  if (isStrided(spec)) {
    for (let axis = 0; axis < spec.rank; axis++) names.push(`extent${axis}`);
    for (const { name } of spec.inputs) {
      for (let axis = 0; axis < spec.rank; axis++) names.push(`${name}_stride${axis}`);
    }
    if (spec.isOutputStrided) {
      for (let axis = 0; axis < spec.rank; axis++) names.push(`out_stride${axis}`);
    }
  }
  return [...names.map((name) => ({ name, type: "u32" as const })), ...spec.parameters];
}

/** Whether the kernel computes an index for every element. */
export function isStrided(spec: ElementwiseSpec): boolean {
  return spec.isOutputStrided || spec.inputs.some(({ form }) => form === "strided");
}

/** The WGSL of the kernel under a binding plan. */
export function elementwiseShader(spec: ElementwiseSpec, plan: BindingPlan): string {
  const strided = isStrided(spec);
  const wide: Operand[] = [
    ...spec.inputs.map(({ name, dtype, form }) => ({
      name,
      dtype,
      lanes: form === "row" ? (4 as const) : (1 as const),
    })),
    { name: "out", dtype: spec.output, lanes: spec.isOutputStrided ? 1 : 4 },
  ];
  // Operands that share a binding share its type: where they disagree, all go one by one.
  const agreed = planFits(wide, plan);
  const inputs = agreed
    ? wide.slice(0, -1)
    : wide.slice(0, -1).map((o): Operand => ({ ...o, lanes: 1 }));
  const output: Operand = agreed ? wide.at(-1)! : { ...wide.at(-1)!, lanes: 1 };
  const operands = [...inputs, output];
  const outIndex = operands.length - 1;
  const storesWords = output.lanes === 4 || dtypeInfo(spec.output).perWord > 1;
  const isAtomic = spec.isOutputStrided && dtypeInfo(spec.output).perWord > 1;
  const bindings = declareBindings(operands, plan);
  const parts = [
    isAtomic ? atomic(bindings, plan.slots[outIndex]!) : bindings,
    declareParameters(operands, elementwiseParameters(spec)),
    ...inputs.map((input, index) =>
      isAtomic && plan.slots[index] === plan.slots[outIndex]
        ? atomicLoads(declareLoad(input, plan, index), plan.slots[outIndex]!)
        : declareLoad(input, plan, index),
    ),
    operation(spec),
    linearIndex,
  ];
  if (spec.isOutputStrided) {
    parts.push(declareStore(output, plan, outIndex), strideds(spec), singleMain());
  } else if (strided) {
    parts.push(storeFour(output, plan, outIndex, storesWords), strideds(spec), stridedMain());
  } else {
    parts.push(
      ...inputs.flatMap((input, index) =>
        input.lanes === 4 ? [declareLoad4(input, plan, index)] : [],
      ),
      storeFour(output, plan, outIndex, storesWords),
      rowMain(spec, inputs),
    );
  }
  return parts.join("\n");
}

function atomic(bindings: string, slot: number): string {
  return bindings.replace(`buffer${slot}: array<u32>`, `buffer${slot}: array<atomic<u32>>`);
}

function atomicLoads(load: string, slot: number): string {
  return load.replace(new RegExp(`buffer${slot}\\[([^\\]]*)\\]`), `atomicLoad(&buffer${slot}[$1])`);
}

function operation(spec: ElementwiseSpec): string {
  const scalar = dtypeInfo(spec.output).scalar;
  const list = spec.inputs
    .map(({ name, dtype }) => `${name}: ${dtypeInfo(dtype).scalar}`)
    .join(", ");
  const head = `fn operation(${list}) -> ${scalar} {`;
  // The author's text starts a line, so that columns in messages can be counted too.
  if (spec.body === undefined) return `${head} return (\n${bodyMarker}\n${spec.expression!}\n); }`;
  return `${head}\n${bodyMarker}\n${spec.body}\n}`;
}

/** `store4_out`, also where the binding is of scalars. */
function storeFour(
  output: Operand,
  plan: BindingPlan,
  index: number,
  storesWords: boolean,
): string {
  if (storesWords) return declareStore4(output, plan, index);
  const buffer = `buffer${plan.slots[index]!}`;
  const { scalar } = dtypeInfo(output.dtype);
  // Scalars of a binding of exact range: past its end a store is dropped or lands in our own padding.
  return `fn store4_out(index: u32, value: vec4<${scalar}>) {
  for (var lane = 0u; lane < 4u; lane++) { ${buffer}[index + lane] = value[lane]; }
}`;
}

/** `element(i)`: the operation on the i-th element in row-major order, by coordinates. */
function strideds(spec: ElementwiseSpec): string {
  const lines: string[] = ["  var rest = i;"];
  for (let axis = spec.rank - 1; axis > 0; axis--) {
    lines.push(`  let c${axis} = rest % P.extent${axis};`, `  rest = rest / P.extent${axis};`);
  }
  lines.push("  let c0 = rest;");
  const index = (name: string): string =>
    Array.from({ length: spec.rank }, (_, axis) => `c${axis} * P.${name}_stride${axis}`).reduce(
      (sum, term) => `${sum} + ${term}`,
      `P.${name}_offset`,
    );
  const values = spec.inputs.map(({ name }) => `load_${name}(${index(name)})`).join(", ");
  const coordinates = lines.join("\n");
  const { scalar } = dtypeInfo(spec.output);
  const element = `fn element(i: u32) -> ${scalar} {\n${coordinates}\n  return operation(${values});\n}`;
  if (!spec.isOutputStrided) return element;
  return `${element}\nfn place(i: u32) -> u32 {\n${coordinates}\n  return ${index("out")};\n}`;
}

function singleMain(): string {
  return `${linearMain} {
  let i = linear_index(id, groups);
  if (i < P.count) { store_out(place(i), element(i)); }
}`;
}

function stridedMain(): string {
  // Past the end the last element is made again: its word is the output's own padding.
  return `${linearMain} {
  let i = linear_index(id, groups) * 4u;
  if (i >= P.count) { return; }
  let last = P.count - 1u;
  store4_out(P.out_offset + i, vec4(element(i), element(min(i + 1u, last)), element(min(i + 2u, last)), element(min(i + 3u, last))));
}`;
}

function rowMain(spec: ElementwiseSpec, inputs: readonly Operand[]): string {
  const loads = spec.inputs.map(({ name, form }, index) => {
    if (form === "one") return `  let ${name} = vec4(load_${name}(P.${name}_offset));`;
    if (inputs[index]!.lanes === 4) return `  let ${name} = load4_${name}(P.${name}_offset + i);`;
    const lane = (n: number): string => `load_${name}(P.${name}_offset + min(i + ${n}u, last))`;
    return `  let ${name} = vec4(${lane(0)}, ${lane(1)}, ${lane(2)}, ${lane(3)});`;
  });
  const call = (lane: string): string =>
    `operation(${spec.inputs.map(({ name }) => `${name}.${lane}`).join(", ")})`;
  return `${linearMain} {
  let i = linear_index(id, groups) * 4u;
  if (i >= P.count) { return; }
  let last = P.count - 1u;
${loads.join("\n")}
  store4_out(P.out_offset + i, vec4(${call("x")}, ${call("y")}, ${call("z")}, ${call("w")}));
}`;
}
