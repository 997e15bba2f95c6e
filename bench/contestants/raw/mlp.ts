/** A perceptron by hand: two products, bias and activation inside them. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit, Step } from "./kit.ts";
import type { ProductText } from "./matmul-kernels.ts";
import { inRegisters, inSharedMemory, ofFewColumns, onProcessor, productStep } from "./matmul.ts";
import type { ProductDesign } from "./matmul.ts";
import type { RawVariant } from "./variant.ts";
import { times } from "./wgsl.ts";

const hiddenText: ProductText = {
  extras: ["bias"],
  result: (unit) => `max(value + bias[column], ${unit}())`,
};
const outputText: ProductText = { extras: ["bias"], result: () => "value + bias[column]" };

/** The second layer: of few outputs, which are no whole tiles. */
type OutputLayer = (
  kit: Kit,
  size: { readonly m: number; readonly k: number; readonly n: number },
  buffers: readonly GPUBuffer[],
) => Promise<Step>;

function asProduct(broadcasts: boolean): OutputLayer {
  return async (kit, size, buffers) =>
    (await productStep(kit, ofFewColumns(broadcasts), "output layer", outputText, size, buffers))
      .step;
}

/** A row to a workgroup, whose lanes share k: for GPUs. */
const byWorkgroup: OutputLayer = async (kit, { m, k, n }, buffers) => {
  const lanes = 64;
  const code = `
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> size: vec4u;
var<workgroup> sums: array<f32, ${lanes * n}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${times(n, (column) => `var sum${column} = 0.0;`, " ")}
  for (var k = lane; k < size.x; k += ${lanes}u) {
    let factor = a[group.x * size.x + k];
    ${times(n, (column) => `sum${column} = fma(factor, b[k * ${n}u + ${column}u], sum${column});`, "\n    ")}
  }
  ${times(n, (column) => `sums[lane * ${n}u + ${column}u] = sum${column};`, "\n  ")}
  workgroupBarrier();
  if (lane < ${n}u) {
    var sum = bias[lane];
    for (var other = 0u; other < ${lanes}u; other++) { sum += sums[other * ${n}u + lane]; }
    y[group.x * ${n}u + lane] = sum;
  }
}`;
  const size = kit.uniform("size", new Uint32Array([k, 0, 0, 0]));
  return kit.step(await kit.pipeline("output layer", code), [...buffers, size], [m]);
};

const styles: readonly (readonly [string, ProductDesign, OutputLayer])[] = [
  ["by broadcasts", onProcessor, asProduct(true)],
  ["in registers", inRegisters, asProduct(false)],
  ["32x32 in shared memory", inSharedMemory({ rows: 32, columns: 32, each: 4 }), byWorkgroup],
  ["64x64 in shared memory", inSharedMemory({ rows: 64, columns: 64, each: 4 }), byWorkgroup],
];

export const mlpVariants: readonly RawVariant[] = styles.map(
  ([variant, product, outputLayer]) =>
    async ({ inputs, values }: Problem, kit: Kit): Promise<Prepared> => {
      const [batch, width, hidden, outputs] = [
        valueOf(values, "batch"),
        valueOf(values, "inputs"),
        valueOf(values, "hidden"),
        valueOf(values, "outputs"),
      ];
      const input = (name: string): GPUBuffer => kit.input(name, inputOf(inputs, name));
      const inner = kit.buffer("hidden", batch * hidden * 4);
      const y = kit.buffer("y", batch * outputs * 4);
      const size = { m: batch, k: width, n: hidden };
      const buffers = [input("x"), input("w1"), input("b1"), inner];
      const first = await productStep(kit, product, "hidden layer", hiddenText, size, buffers);
      const second = await outputLayer(kit, { m: batch, k: hidden, n: outputs }, [
        inner,
        input("w2"),
        input("b2"),
        y,
      ]);
      return kit.prepared([first.step, second], [{ buffer: y, count: batch * outputs }], variant);
    },
);
