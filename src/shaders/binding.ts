/**
 * Vocabulary of all shaders: operands, the bindings they reach memory through, and parameters.
 *
 * An operand is a tensor that a kernel reads or writes; a binding is a range of a slab. They differ:
 * two operands in one slab that is also written share a binding, because WebGPU refuses overlapping
 * writable ranges. So a shader is generated for a plan that maps operands to bindings.
 */

import type { DType } from "../host/dtype.ts";
import { dtypeInfo } from "../host/dtype.ts";

export type Access = "read" | "read_write";

/** Which binding each operand uses, and how each binding is accessed. */
export interface BindingPlan {
  /** Binding index of each operand, inputs first. */
  readonly slots: readonly number[];
  /** Access of each binding. */
  readonly access: readonly Access[];
}

/** An operand as a shader sees it. */
export interface Operand {
  /** A WGSL identifier; its functions and parameters are named after it. */
  readonly name: string;
  readonly dtype: DType;
  /** Elements read or written at once through `vec4`: 1 where they are strided, else 4. */
  readonly lanes: 1 | 4;
}

/** A parameter: one 32-bit word. */
export interface Parameter {
  readonly name: string;
  readonly type: "u32" | "i32" | "f32";
}

/** Words that the parameters of one dispatch may take: 256 bytes, the smallest uniform alignment. */
export const parameterWords = 64;

/** Invocations of a workgroup along x, for kernels that do not care. */
export const workgroupSize = 64;

/** The identity plan: every operand has a binding of its own, outputs last. */
export function plainPlan(inputs: number, outputs: number): BindingPlan {
  const slots = Array.from({ length: inputs + outputs }, (_, operand) => operand);
  return { slots, access: slots.map((slot) => (slot < inputs ? "read" : "read_write")) };
}

/** Whether operands that share a binding also agree on its WGSL type. */
export function planFits(operands: readonly Operand[], plan: BindingPlan): boolean {
  return operands.every((operand, index) => {
    const first = operands[plan.slots.indexOf(plan.slots[index]!)]!;
    return storageType(first) === storageType(operand);
  });
}

/** The WGSL type of the elements of an operand's binding. */
export function storageType({ dtype, lanes }: Operand): string {
  const { scalar, perWord } = dtypeInfo(dtype);
  if (perWord > 1) return "u32";
  return lanes === 4 ? `vec4<${scalar}>` : scalar;
}

/** Declares the bindings of group 0. */
export function declareBindings(operands: readonly Operand[], plan: BindingPlan): string {
  return plan.access
    .map((access, slot) => {
      const operand = operands[plan.slots.indexOf(slot)]!;
      return `@group(0) @binding(${slot}) var<storage, ${access}> buffer${slot}: array<${storageType(operand)}>;`;
    })
    .join("\n");
}

/**
 * Declares the parameters of group 1: first `<operand>_offset` for each operand (elements from the
 * start of its binding; the command stream writes these), then the kernel's own.
 */
export function declareParameters(
  operands: readonly Operand[],
  parameters: readonly Parameter[],
): string {
  const fields = [
    ...operands.map(({ name }) => `  ${name}_offset: u32,`),
    ...parameters.map(({ name, type }) => `  ${name}: ${type},`),
  ];
  return `struct Parameters {\n${fields.join("\n")}\n}\n@group(1) @binding(0) var<uniform> P: Parameters;`;
}

/**
 * A function `load_<name>(index) -> scalar`, where `index` counts elements from the start of the
 * binding, whatever the dtype's size.
 */
export function declareLoad(operand: Operand, plan: BindingPlan, index: number): string {
  const { name, dtype, lanes } = operand;
  const { scalar } = dtypeInfo(dtype);
  const buffer = `buffer${plan.slots[index]!}`;
  const element = {
    float32: lanes === 4 ? `${buffer}[index / 4u][index % 4u]` : `${buffer}[index]`,
    int32: lanes === 4 ? `${buffer}[index / 4u][index % 4u]` : `${buffer}[index]`,
    uint32: lanes === 4 ? `${buffer}[index / 4u][index % 4u]` : `${buffer}[index]`,
    float16: `unpack2x16float(${buffer}[index / 2u])[index % 2u]`,
    uint8: `(${buffer}[index / 4u] >> (8u * (index % 4u))) & 0xffu`,
  }[dtype];
  return `fn load_${name}(index: u32) -> ${scalar} { return ${element}; }`;
}

/**
 * A function `load4_<name>(index) -> vec4` of four elements in a row; `index` must be a multiple of
 * four, and the operand must have four lanes.
 */
export function declareLoad4(operand: Operand, plan: BindingPlan, index: number): string {
  const { name, dtype } = operand;
  const { scalar } = dtypeInfo(dtype);
  const buffer = `buffer${plan.slots[index]!}`;
  const head = `fn load4_${name}(index: u32) -> vec4<${scalar}> {`;
  if (dtype === "uint8") {
    return `${head} return (vec4<u32>(${buffer}[index / 4u]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu); }`;
  }
  if (dtype === "float16") {
    return `${head} return vec4<f32>(unpack2x16float(${buffer}[index / 2u]), unpack2x16float(${buffer}[index / 2u + 1u])); }`;
  }
  return `${head} return ${buffer}[index / 4u]; }`;
}

/**
 * A function `pack_<name>(pair) -> u32` where elements are float16. WGSL leaves open what becomes of
 * infinities, NaN and numbers beyond 65504 (SwiftShader makes NaN of infinity): they go by their bits.
 */
function declarePack({ name, dtype }: Operand): string {
  if (dtype !== "float16") return "";
  return `fn pack_${name}(pair: vec2<f32>) -> u32 {
  let bits = bitcast<vec2<u32>>(pair);
  let size = bits & vec2<u32>(0x7fffffffu);
  let finite = pack2x16float(clamp(pair, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
  let beyond = ((bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | select(vec2<u32>(0x7c00u), vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
  let half = select(vec2<u32>(finite & 0xffffu, finite >> 16u), beyond, size >= vec2<u32>(0x477ff000u));
  return half.x | (half.y << 16u);
}
`;
}

/**
 * A function `store4_<name>(index, value)` for four elements in a row: whole words, so that no two
 * invocations write one word. Same conditions as {@link declareLoad4}.
 */
export function declareStore4(operand: Operand, plan: BindingPlan, index: number): string {
  const { name, dtype } = operand;
  const { scalar } = dtypeInfo(dtype);
  const buffer = `buffer${plan.slots[index]!}`;
  const head = `${declarePack(operand)}fn store4_${name}(index: u32, value: vec4<${scalar}>) {`;
  if (dtype === "uint8") {
    return `${head}
  let bytes = (value & vec4<u32>(0xffu)) << vec4<u32>(0u, 8u, 16u, 24u);
  ${buffer}[index / 4u] = bytes.x | bytes.y | bytes.z | bytes.w;
}`;
  }
  if (dtype === "float16") {
    return `${head}
  ${buffer}[index / 2u] = pack_${name}(value.xy);
  ${buffer}[index / 2u + 1u] = pack_${name}(value.zw);
}`;
  }
  return `${head} ${buffer}[index / 4u] = value; }`;
}

/**
 * A function `store_<name>(index, value)` for one element anywhere. Elements smaller than a word
 * need a binding of atomics ({@link declareAtomicBindings}): neighbours in the word may be written
 * by other invocations.
 */
export function declareStore(operand: Operand, plan: BindingPlan, index: number): string {
  const { name, dtype } = operand;
  const { scalar, perWord } = dtypeInfo(dtype);
  const buffer = `buffer${plan.slots[index]!}`;
  const head = `${declarePack(operand)}fn store_${name}(index: u32, value: ${scalar}) {`;
  if (perWord === 1) return `${head} ${buffer}[index] = value; }`;
  const bits = 32 / perWord;
  const mask = dtype === "uint8" ? "0xffu" : "0xffffu";
  const encoded = dtype === "uint8" ? "(value & 0xffu)" : `pack_${name}(vec2<f32>(value, 0.0))`;
  return `${head}
  let shift = ${bits}u * (index % ${perWord}u);
  atomicAnd(&${buffer}[index / ${perWord}u], ~(${mask} << shift));
  atomicOr(&${buffer}[index / ${perWord}u], ${encoded} << shift);
}`;
}

/** The index of this invocation along x, where the grid was folded into y for being too long. */
export const linearIndex = `fn linear_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
  return id.x + id.y * groups.x * ${workgroupSize}u;
}`;

/** The head of an entry point that uses {@link linearIndex}. */
export const linearMain = `@compute @workgroup_size(${workgroupSize})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>)`;
