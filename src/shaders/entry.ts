/**
 * Whole entry points written by users. The author's text follows generated bindings, parameters and
 * functions: for every tensor `t` of rank r, `t_get(i0, …)` (inputs), `t_set(i0, …, value)`
 * (outputs), and `t_extent<axis>()`.
 */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import { declareBindings, declareLoad, declareParameters, declareStore } from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

/** A tensor of a whole entry point. */
export interface EntryOperand {
  readonly name: string;
  readonly dtype: DType;
  readonly rank: number;
}

export interface EntrySpec {
  readonly inputs: readonly EntryOperand[];
  readonly outputs: readonly EntryOperand[];
  readonly parameters: readonly Parameter[];
  readonly wgsl: string;
}

/** The line before the author's text; lines of compiler messages are counted from it. */
export const entryMarker = "// -- the author's text --";

/** Extents and strides of every operand, in order, before the author's parameters. */
export function entryParameters(spec: EntrySpec): Parameter[] {
  const words = [...spec.inputs, ...spec.outputs].flatMap(({ name, rank }) =>
    Array.from({ length: rank }, (_, axis) => [`${name}_dim${axis}`, `${name}_step${axis}`]).flat(),
  );
  return [...words.map((name) => ({ name, type: "u32" as const })), ...spec.parameters];
}

export function entryShader(spec: EntrySpec, plan: BindingPlan): string {
  const all = [...spec.inputs, ...spec.outputs];
  const operands = all.map(({ name, dtype }): Operand => ({ name, dtype, lanes: 1 }));
  let bindings = declareBindings(operands, plan);
  spec.outputs.forEach(({ dtype }, index) => {
    const slot = plan.slots[spec.inputs.length + index]!;
    // Elements smaller than a word share it with others' elements: stores must be atomic.
    if (dtypeInfo(dtype).perWord > 1) {
      bindings = bindings.replace(`buffer${slot}: array<u32>`, `buffer${slot}: array<atomic<u32>>`);
    }
  });
  const functions = all.flatMap((operand, index) => {
    const { name, rank, dtype } = operand;
    const { scalar } = dtypeInfo(dtype);
    const isInput = index < spec.inputs.length;
    const list = Array.from({ length: rank }, (_, axis) => `i${axis}: u32`);
    const at = Array.from(
      { length: rank },
      (_, axis) => ` + i${axis} * P.${name}_step${axis}`,
    ).join("");
    const extents = Array.from(
      { length: rank },
      (_, axis) => `fn ${name}_extent${axis}() -> u32 { return P.${name}_dim${axis}; }`,
    );
    if (isInput) {
      return [
        declareLoad(operands[index]!, plan, index),
        `fn ${name}_get(${list.join(", ")}) -> ${scalar} { return load_${name}(P.${name}_offset${at}); }`,
        ...extents,
      ];
    }
    return [
      declareStore(operands[index]!, plan, index),
      `fn ${name}_set(${[...list, `value: ${scalar}`].join(", ")}) { store_${name}(P.${name}_offset${at}, value); }`,
      ...extents,
    ];
  });
  return `${bindings}
${declareParameters(operands, entryParameters(spec))}
${functions.join("\n")}
${entryMarker}
${spec.wgsl}`;
}
