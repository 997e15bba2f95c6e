/**
 * Decoding with a cache by hand: three dispatches to a token. The token's rows of the cache are
 * written by the kernel that computes them, and each step's numbers are ready in a uniform.
 */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { fixedSubgroupSize, requireHardware, requireVectorLanes } from "./adapter.ts";
import { attentionBySubgroup, attentionByWorkgroup } from "./attention.ts";
import type { AttentionKernel } from "./attention.ts";
import type { Kit, Step } from "./kit.ts";
import type { RawVariant } from "./variant.ts";
import { times } from "./wgsl.ts";

/** One row times a matrix [width, width], or several of them, which are `size.x * size.x * 4` vec4 apart. */
interface RowProduct {
  readonly code: string;
  /** Vec4 of a result to a workgroup. */
  readonly columns: number;
}

/** Where the row comes from, and where the result goes; both in WGSL, over bindings of their own. */
interface RowText {
  readonly bindings: readonly string[];
  /** A vec4 of the row. */
  readonly row: (at: string) => string;
  /** Keeps the vec4 `value` of the matrix `group.z` at `column`. */
  readonly keep: string;
}

const projections: RowText = {
  bindings: [
    "var<storage, read> xs: array<vec4f>",
    "var<storage, read> before: array<vec4f>",
    "var<storage, read> w: array<vec4f>",
    "var<storage, read_write> q: array<vec4f>",
    "var<storage, read_write> keys: array<vec4f>",
    "var<storage, read_write> held: array<vec4f>",
  ],
  row: (at) => `xs[size.z * size.x + ${at}] + before[${at}]`,
  keep: `let row_of_cache = (size.y - 1u) * size.x + column;
    if (group.z == 0u) { q[column] = value; }
    else if (group.z == 1u) { keys[row_of_cache] = value; }
    else { held[row_of_cache] = value; }`,
};

const output: RowText = {
  bindings: [
    "var<storage, read> mixed: array<vec4f>",
    "var<storage, read> w: array<vec4f>",
    "var<storage, read_write> y: array<vec4f>",
  ],
  row: (at) => `mixed[${at}]`,
  keep: "y[column] = value;",
};

function head({ bindings }: RowText): string {
  const all = [...bindings, "var<uniform> size: vec4u"];
  return `/** \`size\`: vec4 of a row, keys with this token's, the token's number. */
${all.map((text, at) => `@group(0) @binding(${at}) ${text};`).join("\n")}`;
}

/**
 * The lanes lie side by side in the columns, `each` neighbouring vec4 to a lane, and each lane loads a
 * vec4 of the row for all of them.
 */
function rowProductByLanes(text: RowText, lanes: number, each: number): RowProduct {
  return {
    columns: lanes * each,
    code: `enable subgroups;
${head(text)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = (group.x * ${lanes}u + lane) * ${each}u;
  var at = group.z * size.x * size.x * 4u + first;
  ${times(each, (part) => `var value${part} = vec4f();`, " ")}
  for (var k = 0u; k < size.x; k += ${lanes}u) {
    let own = ${text.row("k + lane")};
    ${times(
      lanes,
      (other) => `{
      let row = subgroupBroadcast(own, ${other}u);
      ${times(4, (part) => times(each, (column) => `value${column} += row[${part}] * w[at + ${column}u];`, " ") + " at += size.x;", "\n      ")}
    }`,
      "\n    ",
    )}
  }
  ${times(each, (part) => `{ let column = first + ${part}u; let value = value${part}; ${text.keep} }`, "\n  ")}
}`,
  };
}

/** Lanes side by side in 8 vec4 of columns, 32 of them down the rows: for GPUs. */
function rowProductByWorkgroup(text: RowText): RowProduct {
  const [across, down] = [8, 32];
  return {
    columns: across,
    code: `${head(text)}
var<workgroup> sums: array<vec4f, ${across * down}>;
@compute @workgroup_size(${across * down})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * ${across}u + lane % ${across}u;
  let first = group.z * size.x * size.x * 4u + column;
  var sum = vec4f();
  for (var k = lane / ${across}u; k < size.x; k += ${down}u) {
    let row = ${text.row("k")};
    let at = first + k * 4u * size.x;
    sum += (row.x * w[at] + row.y * w[at + size.x]) + (row.z * w[at + 2u * size.x] + row.w * w[at + 3u * size.x]);
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var half = ${(across * down) / 2}u; half >= ${across}u; half >>= 1u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  if (lane < ${across}u) {
    let value = sums[lane];
    ${text.keep}
  }
}`,
  };
}

interface Style {
  readonly variant: string;
  readonly rowProduct: (kit: Kit, text: RowText, quads: number) => RowProduct;
  readonly attention: (kit: Kit, part: number, keys: number) => AttentionKernel;
}

const styles: readonly Style[] = [
  {
    variant: "by subgroups",
    rowProduct: (kit, text, quads) =>
      rowProductByLanes(text, requireVectorLanes(kit), quads >= 128 ? 2 : 1),
    attention: (kit, part) => attentionBySubgroup(part, requireVectorLanes(kit)),
  },
  {
    variant: "by workgroups",
    rowProduct: (kit, text) => {
      // Without subgroups there is no other way, on any adapter.
      if (fixedSubgroupSize(kit) !== undefined) requireHardware(kit);
      return rowProductByWorkgroup(text);
    },
    attention: (_, part, keys) => attentionByWorkgroup(part, keys),
  },
];

/** Uniforms of all steps in one buffer, at offsets that every adapter takes. */
const uniformStride = 256;

async function run({ inputs, values }: Problem, kit: Kit, style: Style): Promise<Prepared> {
  const [count, context, width, heads] = [
    valueOf(values, "steps"),
    valueOf(values, "context"),
    valueOf(values, "width"),
    valueOf(values, "heads"),
  ];
  const [quads, part] = [width / 4, width / heads];
  const write = (buffer: GPUBuffer, offset: number, name: string): void => {
    const data = inputOf(inputs, name).data as GPUAllowSharedBufferSource;
    kit.device.queue.writeBuffer(buffer, offset, data);
  };
  const [keys, held] = ["keys", "values"].map((name) => {
    const cache = kit.buffer(name, (context + count) * width * 4);
    write(cache, 0, name);
    return cache;
  }) as [GPUBuffer, GPUBuffer];
  const weights = kit.buffer("wq, wk and wv", 3 * width * width * 4);
  for (const [at, name] of ["wq", "wk", "wv"].entries())
    write(weights, at * width * width * 4, name);
  const wo = kit.input("wo", inputOf(inputs, "wo"));
  const xs = kit.input("xs", inputOf(inputs, "xs"));
  const [nothing, q, mixed, y] = ["nothing", "q", "mixed", "y"].map((name) =>
    kit.buffer(name, width * 4),
  ) as [GPUBuffer, GPUBuffer, GPUBuffer, GPUBuffer];
  const numbers = new Uint32Array((count * uniformStride) / 4);
  for (let step = 0; step < count; step++)
    numbers.set([quads, context + step + 1, step], (step * uniformStride) / 4);
  const sizes = kit.uniform("sizes", numbers);

  const first = style.rowProduct(kit, projections, quads);
  const attention = style.attention(kit, part, context + count);
  const last = style.rowProduct(kit, output, quads);
  const [projecting, attending, leaving] = [
    await kit.pipeline("projections", first.code),
    await kit.pipeline("attention", attention.code),
    await kit.pipeline("output", last.code),
  ];
  const steps: Step[] = [];
  for (let step = 0; step < count; step++) {
    const size = { buffer: sizes, offset: step * uniformStride, size: 16 };
    const before = step === 0 ? nothing : y;
    steps.push(
      kit.step(
        projecting,
        [xs, before, weights, q, keys, held, size],
        [quads / first.columns, 1, 3],
      ),
      kit.step(attending, [q, keys, held, mixed, size], [1, heads]),
      kit.step(leaving, [mixed, wo, y, size], [quads / last.columns]),
    );
  }
  return kit.prepared(steps, [{ buffer: y, count: width }], style.variant);
}

export const decodingVariants: readonly RawVariant[] = styles.map(
  (style) => (problem, kit) => run(problem, kit, style),
);
