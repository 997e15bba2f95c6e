/** A transformer block by hand: seven dispatches, the residuals and the activation inside the products. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware, requireVectorLanes } from "./adapter.ts";
import { attentionByLanes, attentionByWorkgroup } from "./attention.ts";
import type { AttentionKernel } from "./attention.ts";
import type { Kit, Step } from "./kit.ts";
import type { ProductSize, ProductText } from "./matmul-kernels.ts";
import { inRegisters, inSharedMemory, onProcessor, productStep } from "./matmul.ts";
import type { ProductDesign } from "./matmul.ts";
import { layerNorm, normByInvocation, normByWorkgroup } from "./norms.ts";
import type { RowKernel } from "./row-kernels.ts";
import type { RawVariant } from "./variant.ts";

interface Style {
  readonly variant: string;
  readonly product: ProductDesign;
  readonly norm: (columns: number) => RowKernel;
  readonly attention: (kit: Kit, part: number, sequence: number) => AttentionKernel;
}

const styles: readonly Style[] = [
  {
    variant: "by broadcasts",
    product: onProcessor,
    norm: () => normByInvocation(layerNorm, 1),
    attention: (kit, part) => attentionByLanes(part, requireVectorLanes(kit), true),
  },
  {
    variant: "in registers",
    product: inRegisters,
    norm: () => normByInvocation(layerNorm, 1),
    attention: (_, part) => attentionByLanes(part, 8, false),
  },
  ...([32, 64] as const).map((edge): Style => ({
    variant: `${edge}x${edge} in shared memory`,
    product: inSharedMemory({ rows: edge, columns: edge, each: 4 }),
    norm: (columns) => normByWorkgroup(layerNorm, columns),
    attention: (kit, part, sequence) => {
      requireHardware(kit);
      return attentionByWorkgroup(part, sequence);
    },
  })),
];

const plain: ProductText = {};
const plusResidual: ProductText = { extras: ["residual"], result: () => "value + residual[at]" };
/** (1 + tanh(u)) / 2 is 1 / (1 + exp(-2 u)), which cannot overflow into NaN. */
const withGelu: ProductText = {
  functions: (unit) => `fn gelu(x: ${unit}) -> ${unit} {
  return x / (1.0 + exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
}`,
  result: () => "gelu(value)",
};

async function run({ inputs, values }: Problem, kit: Kit, style: Style): Promise<Prepared> {
  const [sequence, width, heads] = [
    valueOf(values, "sequence"),
    valueOf(values, "width"),
    valueOf(values, "heads"),
  ];
  const bytes = sequence * width * 4;
  const input = (name: string): GPUBuffer => kit.input(name, inputOf(inputs, name));
  const steps: Step[] = [];
  const product = async (
    label: string,
    text: ProductText,
    size: ProductSize,
    buffers: readonly GPUBuffer[],
  ): Promise<void> => {
    steps.push((await productStep(kit, style.product, label, text, size, buffers)).step);
  };
  const size = kit.uniform("row size", new Uint32Array([sequence, width / 4]));
  const normKernel = style.norm(width);
  const normPipeline = await kit.pipeline("layer norm", normKernel.code);
  const norm = (x: GPUBuffer, half: 1 | 2, y: GPUBuffer): void => {
    const bound = [x, input(`gamma${half}`), input(`beta${half}`), y, size];
    steps.push(kit.step(normPipeline, bound, [Math.ceil(sequence / normKernel.rows)]));
  };

  const x = input("x");
  const normal = kit.buffer("normal", bytes);
  norm(x, 1, normal);

  const weights = kit.buffer("wq, wk and wv", 3 * width * width * 4);
  for (const [at, name] of ["wq", "wk", "wv"].entries()) {
    const data = inputOf(inputs, name).data as GPUAllowSharedBufferSource;
    kit.device.queue.writeBuffer(weights, at * width * width * 4, data);
  }
  const projected = kit.buffer("q, k and v", 3 * bytes);
  const three = { m: sequence, k: width, n: width, batch: 3, sharesA: true };
  await product("q, k and v", plain, three, [normal, weights, projected]);

  const part = width / heads;
  const attention = style.attention(kit, part, sequence);
  const mixed = kit.buffer("mixed", bytes);
  const parts = [0, 1, 2].map((at) => ({ buffer: projected, offset: at * bytes, size: bytes }));
  const attentionSize = kit.uniform("attention size", new Uint32Array([width / 4, sequence, 0, 0]));
  const pipeline = await kit.pipeline("attention", attention.code);
  const workgroups = [sequence / attention.queries, heads] as const;
  steps.push(kit.step(pipeline, [...parts, mixed, attentionSize], workgroups));

  const after = kit.buffer("after attention", bytes);
  const square = { m: sequence, k: width, n: width };
  await product("wo", plusResidual, square, [mixed, input("wo"), x, after]);
  norm(after, 2, normal);
  const inner = kit.buffer("inner", 4 * bytes);
  const widening = { m: sequence, k: width, n: 4 * width };
  await product("w1", withGelu, widening, [normal, input("w1"), inner]);
  const y = kit.buffer("y", bytes);
  const narrowing = { m: sequence, k: 4 * width, n: width };
  await product("w2", plusResidual, narrowing, [inner, input("w2"), after, y]);
  return kit.prepared(steps, [{ buffer: y, count: sequence * width }], style.variant);
}

export const transformerVariants: readonly RawVariant[] = styles.map(
  (style) => (problem, kit) => run(problem, kit, style),
);
