/**
 * softmax(q k^T / sqrt(width of a head)) v in one kernel, the sum scaled down whenever a higher score
 * turns up. Each kernel binds q, keys, values, the result and `size`: vec4 of a row, and keys.
 */

import { times } from "./wgsl.ts";

export interface AttentionKernel {
  readonly code: string;
  /** Queries to a workgroup; the heads are the second dimension. */
  readonly queries: number;
}

const bindings = `
@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;
@group(0) @binding(2) var<storage, read> held: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<uniform> size: vec4u;`;

/** Keys at a time: a new highest score is looked for once for them. */
const together = 4;

/**
 * A query to a lane, of a whole number of blocks of keys. Where lanes can hand numbers to each other,
 * a key and its value are loaded once for all of them.
 */
export function attentionByLanes(
  part: number,
  lanes: number,
  broadcasts: boolean,
): AttentionKernel {
  const quads = part / 4;
  const loads = Math.ceil(quads / lanes);
  const ownLane = lanes > quads ? `lane % ${quads}u` : "lane";
  const rows = (name: string, use: (key: number, quad: number, loaded: string) => string): string =>
    times(
      together,
      (key) => `{
      let at = (key + ${key}u) * size.x + first;
      ${broadcasts ? times(loads, (at) => `let own${at} = ${name}[at + ${at * lanes}u + ${ownLane}];`, " ") : ""}
      ${times(
        quads,
        (quad) =>
          use(
            key,
            quad,
            broadcasts
              ? `subgroupBroadcast(own${Math.floor(quad / lanes)}, ${quad % lanes}u)`
              : `${name}[at + ${quad}u]`,
          ),
        "\n      ",
      )}
    }`,
      "\n    ",
    );
  const scores = Array.from({ length: together }, (_, key) => `score${key}`);
  return {
    queries: lanes,
    code: `${broadcasts ? "enable subgroups;" : ""}${bindings}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, ${broadcasts ? "@builtin(subgroup_invocation_id)" : "@builtin(local_invocation_index)"} lane: u32) {
  let first = group.y * ${quads}u;
  let own_first = (group.x * ${lanes}u + lane) * size.x + first;
  ${times(quads, (quad) => `let q${quad} = q[own_first + ${quad}u] * ${1 / Math.sqrt(part)};`, "\n  ")}
  ${times(quads, (quad) => `var sum${quad} = vec4f();`, " ")}
  var high = -1e38;
  var total = 0.0;
  for (var key = 0u; key < size.y; key += ${together}u) {
    ${scores.map((score) => `var ${score} = 0.0;`).join(" ")}
    ${rows("keys", (key, quad, loaded) => `score${key} += dot(q${quad}, ${loaded});`)}
    let higher = max(high, ${scores.reduce((a, b) => `max(${a}, ${b})`)});
    let shrink = exp(high - higher);
    high = higher;
    ${scores.map((score) => `${score} = exp(${score} - high);`).join(" ")}
    total = total * shrink + ${scores.join(" + ")};
    ${times(quads, (quad) => `sum${quad} *= shrink;`, " ")}
    ${rows("held", (key, quad, loaded) => `sum${quad} += score${key} * ${loaded};`)}
  }
  let scale = 1.0 / total;
  ${times(quads, (quad) => `y[own_first + ${quad}u] = sum${quad} * scale;`, "\n  ")}
}`,
  };
}

/** One query: its lanes take a key each for the scores, and a part of each value for the sums. */
export function attentionBySubgroup(part: number, lanes: number): AttentionKernel {
  const quads = part / 4;
  const own = Math.max(1, quads / lanes);
  return {
    queries: 1,
    code: `enable subgroups;${bindings}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let first = group.y * ${quads}u;
  let q_first = group.x * size.x + first;
  ${times(quads, (quad) => `let q${quad} = q[q_first + ${quad}u] * ${1 / Math.sqrt(part)};`, "\n  ")}
  ${times(own, (at) => `var sum${at} = vec4f();`, " ")}
  var high = -1e38;
  var total = 0.0;
  for (var block = 0u; block < size.y; block += ${lanes}u) {
    let key = block + lane;
    let at = min(key, size.y - 1u) * size.x + first;
    var score = 0.0;
    ${times(quads, (quad) => `score += dot(q${quad}, keys[at + ${quad}u]);`, "\n    ")}
    if (key >= size.y) { score = -1e38; }
    let higher = max(high, subgroupMax(score));
    let shrink = exp(high - higher);
    high = higher;
    let share = exp(score - high);
    total = total * shrink + share;
    ${times(own, (at) => `sum${at} *= shrink;`, " ")}
    ${times(
      lanes,
      (
        other,
      ) => `{ let share_here = subgroupBroadcast(share, ${other}u); let value = min(block + ${other}u, size.y - 1u) * size.x + first + lane${lanes > quads ? ` % ${quads}u` : ""};
      ${times(own, (at) => `sum${at} += share_here * held[value + ${at * lanes}u];`, " ")} }`,
      "\n    ",
    )}
  }
  let scale = 1.0 / subgroupAdd(total);
  if (lane < ${quads}u) { ${times(own, (at) => `y[q_first + ${at * lanes}u + lane] = sum${at} * scale;`, " ")} }
}`,
  };
}

/** A query to a workgroup, its scores in shared memory: for GPUs. */
export function attentionByWorkgroup(part: number, mostKeys: number): AttentionKernel {
  const quads = part / 4;
  const lanes = 64;
  const splits = lanes / quads;
  const fold = (join: (a: string, b: string) => string): string => `
  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { folded[lane] = ${join("folded[lane]", "folded[lane + half]")}; }
    workgroupBarrier();
  }`;
  return {
    queries: 1,
    code: `${bindings}
var<workgroup> scores: array<f32, ${mostKeys}>;
var<workgroup> folded: array<f32, ${lanes}>;
var<workgroup> sums: array<vec4f, ${lanes}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.y * ${quads}u;
  let q_first = group.x * size.x + first;
  var own_high = -1e38;
  for (var key = lane; key < size.y; key += ${lanes}u) {
    let at = key * size.x + first;
    var score = 0.0;
    for (var quad = 0u; quad < ${quads}u; quad++) { score += dot(q[q_first + quad], keys[at + quad]); }
    score *= ${1 / Math.sqrt(part)};
    scores[key] = score;
    own_high = max(own_high, score);
  }
  folded[lane] = own_high;
  workgroupBarrier();${fold((a, b) => `max(${a}, ${b})`)}
  let high = workgroupUniformLoad(&folded[0]);
  var own_total = 0.0;
  for (var key = lane; key < size.y; key += ${lanes}u) {
    let share = exp(scores[key] - high);
    scores[key] = share;
    own_total += share;
  }
  folded[lane] = own_total;
  workgroupBarrier();${fold((a, b) => `${a} + ${b}`)}
  let quad = lane % ${quads}u;
  var sum = vec4f();
  for (var key = lane / ${quads}u; key < size.y; key += ${splits}u) {
    sum += scores[key] * held[key * size.x + first + quad];
  }
  sums[lane] = sum;
  workgroupBarrier();
  if (lane < ${quads}u) {
    for (var split = 1u; split < ${splits}u; split++) { sum += sums[lane + split * ${quads}u]; }
    y[q_first + lane] = sum / folded[0];
  }
}`,
  };
}
