/** Kernels that work row by row: softmax and the normalisations. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware } from "./adapter.ts";
import type { Kit } from "./kit.ts";
import { layerNorm, normByInvocation, normByWorkgroup, rmsNorm } from "./norms.ts";
import type { Norm } from "./norms.ts";
import type { RowKernel } from "./row-kernels.ts";
import { softmaxByWorkgroup, softmaxInThree, softmaxInTwo } from "./softmax.ts";
import type { RawVariant } from "./variant.ts";

async function run(
  { values, inputs }: Problem,
  kit: Kit,
  label: string,
  names: readonly string[],
  { variant, rows: rowsOfGroup, code }: RowKernel,
): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const y = kit.buffer("y", rows * columns * 4);
  const bound = [
    ...names.map((name) => kit.input(name, inputOf(inputs, name))),
    y,
    kit.uniform("size", new Uint32Array([rows, columns / 4])),
  ];
  const pipeline = await kit.pipeline(label, code);
  const step = kit.step(pipeline, bound, [Math.ceil(rows / rowsOfGroup)]);
  return kit.prepared([step], [{ buffer: y, count: rows * columns }], variant);
}

type Choose = (problem: Problem, kit: Kit) => RowKernel;

function variants(
  label: string,
  names: readonly string[],
  choices: readonly Choose[],
): RawVariant[] {
  return choices.map(
    (choose) => (problem, kit) => run(problem, kit, label, names, choose(problem, kit)),
  );
}

function normVariants(norm: Norm): RawVariant[] {
  return variants(
    norm.label,
    ["x", ...norm.parameters],
    [
      () => normByInvocation(norm, 1),
      () => normByInvocation(norm, 4),
      ({ values }, kit) => {
        requireHardware(kit);
        return normByWorkgroup(norm, valueOf(values, "columns"));
      },
    ],
  );
}

export const rowKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  softmax: variants(
    "softmax",
    ["x"],
    [
      () => softmaxInThree,
      () => softmaxInTwo,
      ({ values }, kit) => {
        requireHardware(kit);
        return softmaxByWorkgroup(valueOf(values, "columns"));
      },
    ],
  ),
  "layer norm": normVariants(layerNorm),
  "rms norm": normVariants(rmsNorm),
};
