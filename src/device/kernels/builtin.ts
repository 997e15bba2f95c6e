/** The built-in element-wise operations. */

import type { DType } from "../../host/dtype.ts";
import { dtypeInfo } from "../../host/dtype.ts";
import type { ElementwiseOperation } from "./elementwise-operation.ts";

export type UnaryName =
  | "negate"
  | "abs"
  | "sign"
  | "floor"
  | "ceil"
  | "round"
  | "exp"
  | "log"
  | "sqrt"
  | "sin"
  | "cos"
  | "tanh"
  | "sigmoid"
  | "relu"
  | "square"
  | "reciprocal";

export type BinaryName =
  | "add"
  | "subtract"
  | "multiply"
  | "divide"
  | "minimum"
  | "maximum"
  | "power";

const unaryText: { readonly [N in UnaryName]: string } = {
  negate: "-a",
  abs: "abs(a)",
  sign: "sign(a)",
  floor: "floor(a)",
  ceil: "ceil(a)",
  // Ties to even, as WGSL and NumPy have it.
  round: "round(a)",
  exp: "exp(a)",
  log: "log(a)",
  sqrt: "sqrt(a)",
  sin: "sin(a)",
  cos: "cos(a)",
  // tanh overflows in exp on some drivers: beyond ±15 it is ±1 in float32.
  tanh: "tanh(clamp(a, -15.0, 15.0))",
  sigmoid: "1.0 / (1.0 + exp(-a))",
  relu: "max(a, zero)",
  square: "a * a",
  reciprocal: "1.0 / a",
};

const binaryText: { readonly [N in BinaryName]: string } = {
  add: "a + b",
  subtract: "a - b",
  multiply: "a * b",
  divide: "a / b",
  minimum: "min(a, b)",
  maximum: "max(a, b)",
  power: "pow(a, b)",
};

/** Operations that keep integers: the others want a float dtype. */
const integerUnary: readonly UnaryName[] = ["abs", "relu", "square"];
const signedUnary: readonly UnaryName[] = ["negate", "sign"];

function table<N extends string>(
  texts: { readonly [K in N]: string },
  inputs: readonly string[],
): { readonly [K in N]: ElementwiseOperation } {
  const entries = Object.entries(texts) as [N, string][];
  return Object.fromEntries(
    entries.map(([label, text]) => [
      label,
      {
        label,
        inputs,
        parameters: [],
        text: ([dtype]: readonly DType[]) => ({
          expression: text.replaceAll("zero", `${dtypeInfo(dtype!).scalar}(0)`),
        }),
        isUserDefined: false,
      } satisfies ElementwiseOperation,
    ]),
  ) as unknown as { readonly [K in N]: ElementwiseOperation };
}

/** Binary operations whose second operand is one number, carried by a parameter as its bits. */
function withNumber(texts: { readonly [N in BinaryName]: string }): {
  readonly [N in BinaryName]: ElementwiseOperation;
} {
  const operations = table(texts, ["a"]);
  const entries = Object.entries(operations) as [BinaryName, ElementwiseOperation][];
  return Object.fromEntries(
    entries.map(([name, operation]) => [
      name,
      {
        ...operation,
        parameters: [{ name: "b", type: "u32" }],
        text: ([dtype]: readonly DType[]) => {
          const { scalar } = dtypeInfo(dtype!);
          return { body: `let b = bitcast<${scalar}>(P.b);\nreturn ${texts[name]};` };
        },
      } satisfies ElementwiseOperation,
    ]),
  ) as unknown as { readonly [N in BinaryName]: ElementwiseOperation };
}

export const unaryOperations = table(unaryText, ["a"]);
export const binaryOperations = table(binaryText, ["a", "b"]);
export const numberOperations = withNumber(binaryText);

/** Whether WGSL has `name` for elements of `dtype`. */
export function unaryAccepts(name: UnaryName, dtype: DType): boolean {
  const { scalar } = dtypeInfo(dtype);
  if (scalar === "f32" || integerUnary.includes(name)) return true;
  return scalar === "i32" && signedUnary.includes(name);
}

/** The same elements: copies, and makes strided views contiguous. */
export const copyOperation: ElementwiseOperation = {
  label: "copy",
  inputs: ["a"],
  parameters: [],
  text: () => ({ expression: "a" }),
  isUserDefined: false,
};

/** WGSL's own conversions wrap between integers, and end at the last float32 below the limit. */
const castToInteger = {
  f32: {
    i32: "select(i32(a), 2147483647, a >= 2147483648.0)",
    u32: "select(u32(a), 0xffffffffu, a >= 4294967296.0)",
    uint8: "u32(clamp(a, 0.0, 255.0))",
  },
  i32: { i32: "a", u32: "u32(max(a, 0))", uint8: "u32(clamp(a, 0, 255))" },
  u32: { i32: "i32(min(a, 0x7fffffffu))", u32: "a", uint8: "min(a, 255u)" },
} as const;

/** Another dtype: towards integers it truncates and saturates. */
export const castOperation: ElementwiseOperation = {
  label: "cast",
  inputs: ["a"],
  parameters: [],
  text: ([from], to) => {
    const target = to === "uint8" ? "uint8" : dtypeInfo(to).scalar;
    if (target === "f32") return { expression: "f32(a)" };
    const limited = castToInteger[dtypeInfo(from!).scalar][target];
    if (dtypeInfo(from!).scalar !== "f32") return { expression: limited };
    // WGSL leaves open what NaN becomes, and lets a compiler assume that a == a: so its bits are asked.
    return {
      body: `if ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u) { return 0; }\nreturn ${limited};`,
    };
  },
  isUserDefined: false,
};

/** One value everywhere; the parameter carries the bits of any scalar. */
export const fillOperation: ElementwiseOperation = {
  label: "full",
  inputs: [],
  parameters: [{ name: "value", type: "u32" }],
  text: (_, output) => ({ expression: `bitcast<${dtypeInfo(output).scalar}>(P.value)` }),
  isUserDefined: false,
};
