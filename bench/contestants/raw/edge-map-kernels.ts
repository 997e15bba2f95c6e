/**
 * The kernels of the edge map. The blur is done the transposed way: what is read adds its share to
 * the 13 results that it is part of, so that a walk reads each element once and keeps 12 unfinished
 * results.
 */

import { times } from "./wgsl.ts";

const tapCount = 13;
const radius = 6;
const pending = tapCount - 1;

const weight = (tap: number): string => `taps[${tap >> 2}].${"xyzw"[tap & 3]!}`;

const parts = ["x", "y", "z", "w"] as const;

function bindings(buffers: readonly string[]): string {
  const all = [...buffers, "var<uniform> taps: array<vec4f, 4>", "var<uniform> size: vec2u"];
  return all.map((text, at) => `@group(0) @binding(${at}) ${text};`).join("\n");
}

/**
 * A row to a lane. Of a vec4 of luma at column `i`, the results from `i - 6` to `i - 3` are complete;
 * they lie across two vec4 of the row, so that two of them wait for the next turn.
 */
export const lumaAlongRows = `${bindings([
  "var<storage, read> picture: array<vec4f>",
  "var<storage, read_write> across: array<vec4f>",
  "var<storage, read_write> highest: atomic<u32>",
])}
const shares = vec3f(0.2126, 0.7152, 0.0722);
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x == 0u) { atomicStore(&highest, 0u); }
  if (id.x >= size.x) { return; }
  let quads = i32(size.y / 4u);
  let row = i32(id.x) * quads;
  ${times(tapCount, (tap) => `let w${tap} = ${weight(tap)};`, " ")}
  ${times(pending, (at) => `var p${at} = 0.0;`, " ")}
  var waiting = vec2f();
  for (var quad = -2; quad < quads + 2; quad++) {
    let at = (row + clamp(quad, 0, quads - 1)) * 3;
    let a = picture[at]; let b = picture[at + 1]; let c = picture[at + 2];
    var luma = vec4f(dot(a.xyz, shares), dot(vec3f(a.w, b.xy), shares), dot(vec3f(b.zw, c.x), shares), dot(c.yzw, shares));
    if (quad < 0) { luma = vec4f(luma.x); }
    if (quad >= quads) { luma = vec4f(luma.w); }
    ${times(
      pending + 4,
      (at) => {
        const own = parts.flatMap((part, offset) =>
          at - offset >= 0 && at - offset < tapCount
            ? [`w${tapCount - 1 - (at - offset)} * luma.${part}`]
            : [],
        );
        return `let q${at} = ${[...(at < pending ? [`p${at}`] : []), ...own].join(" + ")};`;
      },
      "\n    ",
    )}
    ${times(pending, (at) => `p${at} = q${at + 4};`, " ")}
    if (quad >= 2) { across[row + quad - 2] = vec4f(waiting, q0, q1); }
    waiting = vec2f(q2, q3);
  }
}`;

/** Eight columns, and one on either side, of which the first and the last repeat the edge. */
const strip = [
  ["l", "f32"],
  ["a", "vec4f"],
  ["b", "vec4f"],
  ["r", "f32"],
] as const;

const eachOfStrip = (piece: (name: string, type: string) => string): string =>
  strip.map(([name, type]) => piece(name, type)).join(" ");

/** Down eight columns to a lane: the blur along y, and the edges of the row above the latest. */
export const edgesDownColumns = `${bindings([
  "var<storage, read> quads: array<vec4f>",
  "var<storage, read> elements: array<f32>",
  "var<storage, read_write> y: array<vec4f>",
  "var<storage, read_write> highest: atomic<u32>",
])}
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x * 8u;
  if (column >= size.y) { return; }
  let height = i32(size.x);
  let left = max(column, 1u) - 1u;
  let right = min(column + 8u, size.y - 1u);
  ${times(tapCount, (tap) => `let w${tap} = ${weight(tap)};`, " ")}
  ${times(pending, (at) => eachOfStrip((name, type) => `var ${name}${at} = ${type}();`), "\n  ")}
  ${eachOfStrip((name, type) => `var top_${name} = ${type}(); var mid_${name} = ${type}();`)}
  var high = vec4f();
  for (var turn = 0; turn < height + ${2 * radius + 1}; turn++) {
    let first = u32(clamp(turn - ${radius}, 0, height - 1)) * size.y;
    let quad = (first + column) / 4u;
    let read_l = elements[first + left]; let read_r = elements[first + right];
    let read_a = quads[quad]; let read_b = quads[quad + 1u];
    ${eachOfStrip((name) => `var low_${name} = ${name}0 + w${tapCount - 1} * read_${name};`)}
    ${times(
      pending,
      (at) =>
        eachOfStrip(
          (name) =>
            `${name}${at} = ${at + 1 < pending ? `${name}${at + 1} + ` : ""}w${tapCount - 2 - at} * read_${name};`,
        ),
      "\n    ",
    )}
    let row = turn - ${2 * radius};
    if (row == 0) { ${eachOfStrip((name) => `mid_${name} = low_${name};`)} }
    if (row == height) { ${eachOfStrip((name) => `low_${name} = mid_${name};`)} }
    if (row > 0) {
      ${eachOfStrip((name) => `let smooth_${name} = top_${name} + 2.0 * mid_${name} + low_${name}; let slope_${name} = low_${name} - top_${name};`)}
      let gx_a = vec4f(smooth_a.yzw, smooth_b.x) - vec4f(smooth_l, smooth_a.xyz);
      let gx_b = vec4f(smooth_b.yzw, smooth_r) - vec4f(smooth_a.w, smooth_b.xyz);
      let gy_a = vec4f(slope_l, slope_a.xyz) + 2.0 * slope_a + vec4f(slope_a.yzw, slope_b.x);
      let gy_b = vec4f(slope_a.w, slope_b.xyz) + 2.0 * slope_b + vec4f(slope_b.yzw, slope_r);
      let edge_a = sqrt(gx_a * gx_a + gy_a * gy_a);
      let edge_b = sqrt(gx_b * gx_b + gy_b * gy_b);
      high = max(high, max(edge_a, edge_b));
      let at = (u32(row - 1) * size.y + column) / 4u;
      y[at] = edge_a;
      y[at + 1u] = edge_b;
    }
    ${eachOfStrip((name) => `top_${name} = mid_${name}; mid_${name} = low_${name};`)}
  }
  // The bits of positive numbers are in the order of the numbers.
  atomicMax(&highest, bitcast<u32>(max(max(high.x, high.y), max(high.z, high.w))));
}`;

/** In place: everything over the highest. */
export function normalise(lanes: number): string {
  return `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(1) var<storage, read> highest: f32;
/** Vec4 in all, and to a workgroup. */
@group(0) @binding(2) var<uniform> size: vec2u;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let scale = 1.0 / highest;
  let end = min((group.x + 1u) * size.y, size.x);
  for (var at = group.x * size.y + lane; at < end; at += ${lanes}u) { y[at] *= scale; }
}`;
}

/** Sets the highest to nought where no kernel with a moment for it comes before the tiles. */
export const forget = `
@group(0) @binding(0) var<storage, read_write> highest: atomic<u32>;
@compute @workgroup_size(1) fn main() { atomicStore(&highest, 0u); }`;

const [tileColumns, tileRows] = [32, 16];
/** Luma reaches six and one beyond the tile, the blurred picture one. */
const lumaColumns = tileColumns + 2 * radius + 2;
const lumaRows = tileRows + 2 * radius + 2;
const blurredColumns = tileColumns + 2;
const blurredRows = tileRows + 2;

/**
 * A tile to a workgroup, everything in shared memory. Places beyond the picture are those of its
 * edge, at each stage: a stage's clamped place is always among those that the stage before has.
 */
export const edgesByTiles = {
  columns: tileColumns,
  rows: tileRows,
  code: `${bindings([
    "var<storage, read> picture: array<f32>",
    "var<storage, read_write> y: array<f32>",
    "var<storage, read_write> highest: atomic<u32>",
  ])}
var<workgroup> luma: array<f32, ${lumaColumns * lumaRows}>;
var<workgroup> across: array<f32, ${blurredColumns * lumaRows}>;
var<workgroup> blurred: array<f32, ${blurredColumns * blurredRows}>;
var<workgroup> high: atomic<u32>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let last = vec2i(i32(size.y), i32(size.x)) - 1;
  let origin = vec2i(group.xy) * vec2i(${tileColumns}, ${tileRows});
  for (var at = lane; at < ${lumaColumns * lumaRows}u; at += 256u) {
    let place = clamp(origin + vec2i(i32(at % ${lumaColumns}u), i32(at / ${lumaColumns}u)) - ${radius + 1}, vec2i(), last);
    let first = u32(place.y * i32(size.y) + place.x) * 3u;
    luma[at] = 0.2126 * picture[first] + 0.7152 * picture[first + 1u] + 0.0722 * picture[first + 2u];
  }
  workgroupBarrier();
  for (var at = lane; at < ${blurredColumns * lumaRows}u; at += 256u) {
    let column = clamp(origin.x + i32(at % ${blurredColumns}u) - 1, 0, last.x) - origin.x + ${radius + 1};
    let first = i32(at / ${blurredColumns}u) * ${lumaColumns} + column - ${radius};
    var sum = 0.0;
    ${times(tapCount, (tap) => `sum += ${weight(tap)} * luma[first + ${tap}];`, " ")}
    across[at] = sum;
  }
  workgroupBarrier();
  for (var at = lane; at < ${blurredColumns * blurredRows}u; at += 256u) {
    let row = clamp(origin.y + i32(at / ${blurredColumns}u) - 1, 0, last.y) - origin.y + ${radius + 1};
    let first = (row - ${radius}) * ${blurredColumns} + i32(at % ${blurredColumns}u);
    var sum = 0.0;
    ${times(tapCount, (tap) => `sum += ${weight(tap)} * across[first + ${tap * blurredColumns}];`, " ")}
    blurred[at] = sum;
  }
  workgroupBarrier();
  for (var at = lane; at < ${tileColumns * tileRows}u; at += 256u) {
    let place = vec2i(i32(at % ${tileColumns}u), i32(at / ${tileColumns}u));
    if (any(origin + place > last)) { continue; }
    let first = place.y * ${blurredColumns} + place.x;
    ${times(9, (cell) => `let b${cell} = blurred[first + ${Math.floor(cell / 3) * blurredColumns + (cell % 3)}];`, " ")}
    let gx = (b2 - b0) + 2.0 * (b5 - b3) + (b8 - b6);
    let gy = (b6 - b0) + 2.0 * (b7 - b1) + (b8 - b2);
    let edge = sqrt(gx * gx + gy * gy);
    atomicMax(&high, bitcast<u32>(edge));
    y[u32((origin.y + place.y) * i32(size.y) + origin.x + place.x)] = edge;
  }
  workgroupBarrier();
  if (lane == 0u) { atomicMax(&highest, atomicLoad(&high)); }
}`,
};
