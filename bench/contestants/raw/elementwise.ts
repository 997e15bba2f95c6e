/** Kernels that go through their inputs element by element: the fused chain and the cast. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/** A kernel over vec4: its bindings by name, and the statements that make `y[at]` of `x[at]`. */
interface Body {
  readonly label: string;
  readonly inputs: readonly string[];
  readonly output: "vec4f" | "vec4i";
  readonly statements: string;
}

/** How the vec4 are spread over invocations. */
interface Spread {
  readonly variant: string;
  /** Invocations to a workgroup. */
  readonly size: number;
  /** Neighbouring vec4 to an invocation and turn. */
  readonly width: number;
  /** Workgroups at most, each of which walks its strip; as many as it takes where there is none. */
  readonly groups?: number;
}

const spreads: readonly Spread[] = [
  { variant: "strips of 8 lanes, two vec4 each", size: 8, width: 2, groups: 256 },
  { variant: "four vec4 to an invocation", size: 256, width: 4 },
  { variant: "a vec4 to an invocation", size: 256, width: 1 },
];

function kernel({ inputs, output, statements }: Body, { size, width, groups }: Spread): string {
  const bindings = inputs.map(
    (name, at) => `@group(0) @binding(${at}) var<storage, read> ${name}: array<vec4f>;\n`,
  );
  const each = Array.from(
    { length: width },
    (_, part) => `{ let at = first * ${width}u + ${part}u; ${statements} }`,
  ).join("\n    ");
  const walk =
    groups === undefined
      ? `let first = (group.y * counts.x + group.x) * ${size}u + lane;
  if (first < size.x) { ${each} }`
      : `for (var first = group.x * size.y + lane; first < min((group.x + 1u) * size.y, size.x); first += ${size}u) {
    ${each}
  }`;
  return `
${bindings.join("")}@group(0) @binding(${inputs.length}) var<storage, read_write> y: array<${output}>;
/** Blocks of vec4 in all, and to a workgroup. */
@group(0) @binding(${inputs.length + 1}) var<uniform> size: vec2u;
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) counts: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  ${walk}
}`;
}

async function run(
  { inputs }: Problem,
  kit: Kit,
  elements: number,
  body: Body,
  spread: Spread,
): Promise<Prepared> {
  const buffers = body.inputs.map((name) => kit.input(name, inputOf(inputs, name)));
  const y = kit.buffer("y", elements * 4);
  const blocks = elements / 4 / spread.width;
  const strip = stripLength(blocks, spread);
  const size = kit.uniform("size", new Uint32Array([blocks, strip]));
  const pipeline = await kit.pipeline(body.label, kernel(body, spread));
  const step = kit.step(pipeline, [...buffers, y, size], grid(Math.ceil(blocks / strip)));
  const type = body.output === "vec4i" ? Int32Array : Float32Array;
  return kit.prepared([step], [{ buffer: y, count: elements, type }], spread.variant);
}

/** Blocks to a workgroup: whole turns, and enough of them to be worth a workgroup. */
function stripLength(blocks: number, { size, width, groups }: Spread): number {
  if (groups === undefined) return size;
  const worthwhile = 512 / width;
  return Math.ceil(Math.max(worthwhile, blocks / groups) / size) * size;
}

/** Workgroups over two dimensions where one cannot hold them all. */
function grid(count: number): readonly [number, number] {
  const rows = Math.ceil(count / 65_535);
  return [Math.ceil(count / rows), rows];
}

const chain = (spread: Spread): RawVariant => {
  return (problem, kit) => {
    const count = valueOf(problem.values, "count");
    const turns = Array.from({ length: count }, (_, turn) =>
      turn % 2 === 0 ? "v *= factor;" : "v += start;",
    );
    return run(
      problem,
      kit,
      valueOf(problem.values, "elements"),
      {
        label: "element-wise chain",
        inputs: ["a", "b"],
        output: "vec4f",
        statements: `let start = a[at]; let factor = b[at]; var v = start; ${turns.join(" ")} y[at] = v;`,
      },
      spread,
    );
  };
};

const cast = (spread: Spread): RawVariant => {
  return (problem, kit) =>
    run(
      problem,
      kit,
      valueOf(problem.values, "elements"),
      { label: "cast", inputs: ["x"], output: "vec4i", statements: "y[at] = vec4i(x[at]);" },
      spread,
    );
};

export const elementwiseKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  "element-wise chain": spreads.map(chain),
  cast: spreads.map(cast),
};
