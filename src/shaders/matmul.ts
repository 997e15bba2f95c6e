/**
 * Batched matrix product of float32 operands with any row, column and batch strides. An invocation
 * makes a tile of 4 × 4 outputs in registers; where both operands allow it, through `vec4`.
 */

import { declareBindings, declareLoad, declareLoad4, declareParameters } from "./binding.ts";
import type { BindingPlan, Operand, Parameter } from "./binding.ts";

export interface MatmulSpec {
  /**
   * Whether rows of `a` can be read four elements of the inner axis at a time, rows of `b` and of the
   * output four columns at a time (contiguous, and the extents are multiples of four).
   */
  readonly isRow4: boolean;
}

export const matmulParameters: readonly Parameter[] = [
  "rows",
  "columns",
  "inner",
  "a_batch0",
  "a_batch1",
  "a_row",
  "a_column",
  "b_batch0",
  "b_batch1",
  "b_row",
  "b_column",
  "batches1",
  "batches",
].map((name) => ({ name, type: "u32" as const }));

/** Outputs along x and y of one workgroup. */
export const matmulTile = { columns: 32, rows: 32 } as const;

export function matmulShader({ isRow4 }: MatmulSpec, plan: BindingPlan): string {
  const lanes = isRow4 ? 4 : 1;
  const operands: Operand[] = [
    { name: "a", dtype: "float32", lanes },
    { name: "b", dtype: "float32", lanes },
    { name: "out", dtype: "float32", lanes },
  ];
  const out = `buffer${plan.slots[2]!}`;
  return `${declareBindings(operands, plan)}
${declareParameters(operands, matmulParameters)}
${declareLoad(operands[0]!, plan, 0)}
${declareLoad(operands[1]!, plan, 1)}
${isRow4 ? `${declareLoad4(operands[0]!, plan, 0)}\n${declareLoad4(operands[1]!, plan, 1)}` : ""}
fn tile(batch: u32, row: u32, column: u32) {
  let batch0 = batch / P.batches1;
  let batch1 = batch % P.batches1;
  let a = P.a_offset + batch0 * P.a_batch0 + batch1 * P.a_batch1;
  let b = P.b_offset + batch0 * P.b_batch0 + batch1 * P.b_batch1;
  // Rows and columns past the edge are computed from the last one, and not stored.
  let r0 = a + row * P.a_row;
  let r1 = a + min(row + 1u, P.rows - 1u) * P.a_row;
  let r2 = a + min(row + 2u, P.rows - 1u) * P.a_row;
  let r3 = a + min(row + 3u, P.rows - 1u) * P.a_row;
  var t0 = vec4<f32>(); var t1 = vec4<f32>(); var t2 = vec4<f32>(); var t3 = vec4<f32>();
${isRow4 ? rowLoop : stridedLoop}
  let o = P.out_offset + (batch * P.rows + row) * P.columns + column;
${isRow4 ? rowStores(out) : stridedStores(out)}
}
// One tile to an invocation, unless there are more than a dispatch can have.
@compute @workgroup_size(8, 8)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  for (var batch = id.z; batch < P.batches; batch += groups.z) {
    for (var row = id.y * 4u; row < P.rows; row += groups.y * ${matmulTile.rows}u) {
      for (var column = id.x * 4u; column < P.columns; column += groups.x * ${matmulTile.columns}u) {
        tile(batch, row, column);
      }
    }
  }
}`;
}

const rowLoop = `  for (var k = 0u; k < P.inner; k += 4u) {
    let a0 = load4_a(r0 + k); let a1 = load4_a(r1 + k); let a2 = load4_a(r2 + k); let a3 = load4_a(r3 + k);
    let b0 = load4_b(b + k * P.b_row + column);
    let b1 = load4_b(b + (k + 1u) * P.b_row + column);
    let b2 = load4_b(b + (k + 2u) * P.b_row + column);
    let b3 = load4_b(b + (k + 3u) * P.b_row + column);
    t0 += a0.x * b0 + a0.y * b1 + a0.z * b2 + a0.w * b3;
    t1 += a1.x * b0 + a1.y * b1 + a1.z * b2 + a1.w * b3;
    t2 += a2.x * b0 + a2.y * b1 + a2.z * b2 + a2.w * b3;
    t3 += a3.x * b0 + a3.y * b1 + a3.z * b2 + a3.w * b3;
  }`;

const stridedLoop = `  let c0 = b + column * P.b_column;
  let c1 = b + min(column + 1u, P.columns - 1u) * P.b_column;
  let c2 = b + min(column + 2u, P.columns - 1u) * P.b_column;
  let c3 = b + min(column + 3u, P.columns - 1u) * P.b_column;
  for (var k = 0u; k < P.inner; k++) {
    let ak = k * P.a_column;
    let bk = k * P.b_row;
    let values = vec4(load_b(c0 + bk), load_b(c1 + bk), load_b(c2 + bk), load_b(c3 + bk));
    t0 += load_a(r0 + ak) * values;
    t1 += load_a(r1 + ak) * values;
    t2 += load_a(r2 + ak) * values;
    t3 += load_a(r3 + ak) * values;
  }`;

function rowStores(out: string): string {
  return [0, 1, 2, 3]
    .map((r) => `  if (row + ${r}u < P.rows) { ${out}[(o + ${r}u * P.columns) / 4u] = t${r}; }`)
    .join("\n");
}

function stridedStores(out: string): string {
  return `  for (var lane = 0u; lane < 4u; lane++) {
    if (column + lane >= P.columns) { break; }
${[0, 1, 2, 3].map((r) => `    if (row + ${r}u < P.rows) { ${out}[o + ${r}u * P.columns + lane] = t${r}[lane]; }`).join("\n")}
  }`;
}
