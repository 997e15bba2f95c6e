/** Kernels that users write: an element-wise body, or a whole entry point. */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";
import { InvalidArgumentError, KernelError } from "../host/errors.ts";
import type { Parameter } from "../shaders/binding.ts";
import type { ElementwiseOperation } from "./kernels/elementwise-operation.ts";
import { checkSplit } from "./kernels/entry-split.ts";
import type { KernelSplit } from "./kernels/entry-split.ts";
import { maxOperands } from "./stream/launch.ts";

/** Names and WGSL types of the numbers that a kernel is given: one 32-bit word each. */
export type ParameterTypes = { readonly [name: string]: Parameter["type"] };

/** The default: no name can be given a value. */
export type NoParameters = { readonly [name: string]: never };

/** A value for each parameter. */
export type ParameterValues<P extends ParameterTypes> = { readonly [N in keyof P]: number };

export interface ElementwiseOptions<P extends ParameterTypes, O extends DType> {
  readonly label: string;
  /** Names of the inputs in the WGSL text. Their dtypes are those of the tensors given. */
  readonly inputs: readonly string[];
  readonly output: O;
  /** Reached as `P.<name>`. */
  readonly parameters?: P;
  /** A WGSL expression over the inputs (`f32`, `i32` or `u32` by dtype) … */
  readonly expression?: string;
  /** … or statements that end in `return`. */
  readonly body?: string;
}

/** A description only: it compiles when a runtime first runs it. */
export interface ElementwiseKernel<
  P extends ParameterTypes = ParameterTypes,
  O extends DType = DType,
> {
  readonly label: string;
  readonly output: O;
  readonly parameters: P;
  /** @internal */
  readonly operation: ElementwiseOperation;
}

/**
 * Describes an element-wise kernel. Moorage adds bindings, broadcasting, strides, alignment and
 * stores of elements smaller than a word. Throws `INVALID_ARGUMENT` for names that WGSL refuses.
 */
export function defineElementwise<P extends ParameterTypes = NoParameters, O extends DType = DType>(
  options: ElementwiseOptions<P, O>,
): ElementwiseKernel<P, O> {
  const { label, inputs, output, expression, body } = options;
  const parameters = options.parameters ?? ({} as P);
  checkNames(label, [...inputs, ...Object.keys(parameters)]);
  if ((expression === undefined) === (body === undefined)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `kernel "${label}" needs either an expression or a body`,
      { label },
    );
  }
  if (inputs.length < 1 || inputs.length >= maxOperands) {
    throw new InvalidArgumentError(
      "LIMIT_EXCEEDED",
      `kernel "${label}" has ${inputs.length} inputs; an element-wise kernel has 1 to ${maxOperands - 1}`,
      { label },
    );
  }
  dtypeInfo(output);
  const text = expression === undefined ? { body: body! } : { expression };
  return {
    label,
    output,
    parameters,
    operation: {
      label,
      inputs,
      parameters: parameterList(parameters),
      text: () => text,
      isUserDefined: true,
    },
  };
}

export interface EntryOptions<
  I extends { readonly [name: string]: DType },
  O extends { readonly [name: string]: DType },
  P extends ParameterTypes,
> {
  readonly label: string;
  readonly inputs: I;
  readonly outputs: O;
  readonly parameters?: P;
  /** Invocations of a workgroup; must agree with `@workgroup_size` in the text. */
  readonly workgroup: readonly [x: number, y?: number, z?: number];
  /**
   * A whole entry point named `main`. Given to it: `t_get(i0, …)` for each input `t`, `t_set(i0, …,
   * value)` for each output, `t_extent0()` …, and `P.<parameter>`.
   */
  readonly wgsl: string;
  /** How the kernel is run in parts, where its tensors are larger than what the device binds at once. */
  readonly split?: KernelSplit;
}

/** A description only: it compiles when a runtime first runs it. */
export interface EntryKernel<
  I extends { readonly [name: string]: DType } = { readonly [name: string]: DType },
  O extends { readonly [name: string]: DType } = { readonly [name: string]: DType },
  P extends ParameterTypes = ParameterTypes,
> {
  readonly label: string;
  readonly inputs: I;
  readonly outputs: O;
  readonly parameters: P;
  readonly workgroup: readonly [number, number, number];
  /** @internal */
  readonly wgsl: string;
  /** @internal */
  readonly split: KernelSplit | null;
}

/** Describes a kernel by its whole entry point. Throws `INVALID_ARGUMENT` for names that WGSL refuses. */
export function defineKernel<
  const I extends { readonly [name: string]: DType },
  const O extends { readonly [name: string]: DType },
  const P extends ParameterTypes = NoParameters,
>(options: EntryOptions<I, O, P>): EntryKernel<I, O, P> {
  const { label, inputs, outputs, wgsl, workgroup } = options;
  const parameters = options.parameters ?? ({} as P);
  const operands = [...Object.entries(inputs), ...Object.entries(outputs)];
  checkNames(label, [...operands.map(([name]) => name), ...Object.keys(parameters)]);
  for (const [, dtype] of operands) dtypeInfo(dtype);
  if (operands.length > maxOperands || Object.keys(outputs).length === 0) {
    throw new InvalidArgumentError(
      "LIMIT_EXCEEDED",
      `kernel "${label}" has ${operands.length} tensors, ${Object.keys(outputs).length} of them outputs; it may have ${maxOperands}, and needs an output`,
      { label },
    );
  }
  const size = [workgroup[0], workgroup[1] ?? 1, workgroup[2] ?? 1] as const;
  checkWorkgroup(label, wgsl, size);
  const { split = null } = options;
  const names = operands.map(([name]) => name);
  if (split !== null) checkSplit(label, split, names, Object.keys(outputs));
  return { label, inputs, outputs, parameters, wgsl, workgroup: size, split };
}

/** Throws `KERNEL_VALIDATION` where the text has another workgroup size, in plain numbers. */
function checkWorkgroup(label: string, wgsl: string, workgroup: readonly number[]): void {
  const text = wgsl.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
  const list = /@workgroup_size\s*\(([^)]*)\)/.exec(text)?.[1] ?? "";
  const sizes = list.split(",").map((part) => part.trim());
  if (sizes.at(-1) === "") sizes.pop();
  if (sizes.length === 0 || !sizes.every((part) => /^\d+[iu]?$/.test(part))) return;
  if (workgroup.every((size, axis) => size === Number.parseInt(sizes[axis] ?? "1", 10))) return;
  throw new KernelError(
    "KERNEL_VALIDATION",
    `kernel "${label}" declares a workgroup of [${workgroup.join(", ")}], and its text says @workgroup_size(${list}); make them agree`,
    { label },
  );
}

/** @internal Parameters in the order of their declaration. */
export function parameterList(parameters: ParameterTypes): Parameter[] {
  return Object.entries(parameters).map(([name, type]) => ({ name, type }));
}

/** The values in the order of their declaration; throws `INVALID_ARGUMENT` where one is missing. */
export function parameterValues(
  { label, parameters }: { readonly label: string; readonly parameters: ParameterTypes },
  values: { readonly [name: string]: number } | undefined,
): number[] {
  return Object.keys(parameters).map((name) => {
    const value: unknown = values?.[name];
    if (typeof value === "number") return value;
    if (value !== undefined) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `parameter ${name} of kernel "${label}" is a ${typeof value}; give a number`,
        { label },
      );
    }
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `kernel "${label}" was run without its parameter ${name}`,
      { label },
    );
  });
}

/** Names that the generated text uses itself, and WGSL's keywords. */
const reserved = new Set(
  (
    "out P Parameters main operation element place linear_index count i last id groups " +
    "f32 i32 u32 vec2 vec4 array atomic min clamp select bitcast " +
    "alias break case const const_assert continue continuing default diagnostic discard else enable " +
    "false fn for if let loop override requires return struct switch true var while"
  ).split(" "),
);

/** Parameters and functions that the generated text makes of a tensor's name. */
const generated = /_(?:offset|stride\d+|dim\d+|step\d+|extent\d+|get|set)$/;

function checkNames(label: string, names: readonly string[]): void {
  for (const name of names) {
    const isIdentifier = /^[a-zA-Z][a-zA-Z0-9_]*$/.test(name) && !name.includes("__");
    if (isIdentifier && !reserved.has(name) && !generated.test(name)) continue;
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `kernel "${label}" has a tensor or parameter named "${name}"; use a WGSL identifier that is no keyword, and not ${[...reserved].slice(0, 13).join(", ")}`,
      { label },
    );
  }
  if (new Set(names).size === names.length) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `kernel "${label}" uses a name twice: ${names.join(", ")}`,
    { label },
  );
}
