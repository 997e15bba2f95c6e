/**
 * Every variant of every shader compiles, on a device that executes nothing. Nothing but that
 * adapter may be opened in this process.
 */

import { dtypes } from "moorage";
import type { DType } from "moorage";
import { openAdapter } from "moorage/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  binaryOperations,
  castOperation,
  copyOperation,
  fillOperation,
  numberOperations,
  unaryAccepts,
  unaryOperations,
} from "../../src/device/kernels/builtin.ts";
import type { UnaryName } from "../../src/device/kernels/builtin.ts";
import type { ElementwiseOperation } from "../../src/device/kernels/elementwise-operation.ts";
import { plainPlan } from "../../src/shaders/binding.ts";
import type { BindingPlan } from "../../src/shaders/binding.ts";
import { convolveShader } from "../../src/shaders/convolve.ts";
import { elementwiseShader } from "../../src/shaders/elementwise.ts";
import type { InputForm } from "../../src/shaders/elementwise.ts";
import { entryShader } from "../../src/shaders/entry.ts";
import { matmulShader } from "../../src/shaders/matmul.ts";
import { reduceShader } from "../../src/shaders/reduce.ts";
import { softmaxShader } from "../../src/shaders/softmax.ts";

let device: GPUDevice;
const compiled = new Set<string>();

beforeAll(async () => {
  const { adapter } = await openAdapter({ adapter: "null" });
  device = await adapter.requestDevice();
});
afterAll(() => {
  device.destroy();
  console.log(`${compiled.size} different shaders compiled`);
});

async function compiles(code: string, what: string): Promise<void> {
  if (compiled.has(code)) return;
  compiled.add(code);
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  device.createComputePipeline({ layout: "auto", compute: { module } });
  const error = await device.popErrorScope();
  const { messages } = await module.getCompilationInfo();
  if (error !== null || messages.length > 0) {
    const said = messages
      .map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`)
      .join("\n");
    expect.fail(`${what}: ${said || error?.message}\n${code}`);
  }
}

/** The ways of binding: apart, all exact in one slab, and inputs of one block merged. */
function plans(inputs: number, outputs: number): BindingPlan[] {
  const plain = plainPlan(inputs, outputs);
  const exact = { ...plain, access: plain.access.map(() => "read_write" as const) };
  const firstWritten = {
    ...plain,
    access: plain.access.map((access, slot) => (slot === 0 ? ("read_write" as const) : access)),
  };
  const slots = plain.slots.map((slot) => (slot < inputs ? 0 : slot - inputs + 1));
  const merged = (["read", "read_write"] as const).map((access) => ({
    slots,
    access: Array.from({ length: 1 + outputs }, (_, slot) =>
      slot === 0 ? access : ("read_write" as const),
    ),
  }));
  return inputs > 1 ? [plain, exact, firstWritten, ...merged] : [plain, exact];
}

/** An element-wise operation in every form, binding and rank. */
async function everyForm(
  operation: ElementwiseOperation,
  inputs: readonly DType[],
  output: DType,
): Promise<void> {
  const names = operation.inputs;
  const forms: readonly InputForm[] = ["row", "one", "strided"];
  const combinations = names.reduce<InputForm[][]>(
    (list) => list.flatMap((own) => forms.map((form) => [...own, form])),
    [[]],
  );
  for (const own of combinations) {
    const isStrided = own.includes("strided");
    for (const isOutputStrided of [false, true]) {
      for (const rank of isStrided || isOutputStrided ? [1, 3, 6] : [0]) {
        const text = operation.text(inputs, output);
        const spec = {
          inputs: names.map((name, index) => ({
            name,
            dtype: inputs[index]!,
            form: rank > 0 ? ("strided" as const) : own[index]!,
          })),
          output,
          parameters: operation.parameters,
          ...text,
          rank,
          isOutputStrided,
        };
        for (const plan of plans(names.length, 1)) {
          // Operands of one block have one dtype.
          if (new Set(plan.slots).size < plan.slots.length && new Set(inputs).size > 1) continue;
          await compiles(
            elementwiseShader(spec, plan),
            `${operation.label} ${inputs.join()} → ${output} ${own.join()}`,
          );
        }
      }
    }
  }
}

describe.each(dtypes)("%s", (dtype) => {
  test("unary", async () => {
    for (const [name, operation] of Object.entries(unaryOperations))
      if (unaryAccepts(name as UnaryName, dtype)) await everyForm(operation, [dtype], dtype);
  });

  test("binary, and with a number", async () => {
    const isFloat = dtype === "float32" || dtype === "float16";
    for (const [name, operation] of Object.entries(binaryOperations)) {
      if (name === "power" && !isFloat) continue;
      await everyForm(operation, [dtype, dtype], dtype);
      await everyForm(numberOperations[name as keyof typeof numberOperations], [dtype], dtype);
    }
  });

  test("copy, fill and cast", async () => {
    await everyForm(copyOperation, [dtype], dtype);
    await everyForm(fillOperation, [], dtype);
    for (const to of dtypes) await everyForm(castOperation, [dtype], to);
  });

  test("bodies of users, over inputs of every other dtype", async () => {
    const operation = (inputs: readonly string[]): ElementwiseOperation => ({
      label: "user's",
      inputs,
      parameters: [{ name: "by", type: "f32" }],
      text: (_, output) => ({
        body: `let sum = ${inputs.map((name) => `f32(${name})`).join(" + ")} * P.by;\nreturn ${output.startsWith("float") ? "sum" : output === "int32" ? "i32(sum)" : "u32(sum)"};`,
      }),
      isUserDefined: true,
    });
    for (const other of dtypes) await everyForm(operation(["a", "b"]), [dtype, other], dtype);
    await everyForm(operation(["a", "b", "c"]), [dtype, "float32", "uint8"], dtype);
  });

  test("reductions", async () => {
    for (const reduction of ["sum", "min", "max", "argmax"] as const) {
      for (const isRow4 of reduction === "argmax" ? [false] : [false, true]) {
        for (const isIndirect of reduction === "argmax" ? [false, true] : [false]) {
          for (const plan of plans(isIndirect ? 2 : 1, 1)) {
            if (new Set(plan.slots).size < plan.slots.length) continue;
            await compiles(
              reduceShader({ reduction, input: dtype, isRow4, isIndirect }, plan),
              `${reduction} ${dtype}`,
            );
          }
        }
      }
    }
  });

  test("whole entry points with operands of every rank", async () => {
    for (let rank = 0; rank <= 6; rank++) {
      const index = Array.from({ length: rank }, () => "id.x").join(", ");
      const set = (name: string): string =>
        `${name}_set(${[index, `${name === "y" ? "x" : "w"}_get(${index})`].filter(Boolean).join(", ")});`;
      const operand = (name: string, of: DType) => ({ name, dtype: of, rank });
      const spec = {
        inputs: [operand("x", dtype), operand("w", "float16")],
        outputs: [operand("y", dtype), operand("z", "float16")],
        parameters: [{ name: "by", type: "i32" } as const],
        wgsl: `@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3<u32>) { if (P.by > 0) { ${set("y")} ${set("z")} } }`,
      };
      for (const plan of plans(2, 2)) {
        if (new Set(plan.slots).size < plan.slots.length && dtype !== "float16") continue;
        await compiles(entryShader(spec, plan), `entry of rank ${rank}`);
      }
    }
  });
});

test("softmax, convolution and matrix products", async () => {
  for (const plan of plans(1, 1)) await compiles(softmaxShader(plan), "softmax");
  for (const plan of plans(2, 1)) {
    for (const form of ["row", "column", "strided"] as const) {
      await compiles(convolveShader(form, plan), `convolve ${form}`);
    }
    for (const isRow4 of [false, true]) await compiles(matmulShader({ isRow4 }, plan), "matmul");
  }
});
