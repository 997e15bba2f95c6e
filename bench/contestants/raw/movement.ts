/**
 * Data that is moved: axes are exchanged by kernels that turn blocks of 4 x 4; rows that keep their
 * order (slices, concatenation) go through kernels, or through a texture: the copies between buffers
 * and textures take a stride, and copies between buffers do not.
 */

import { inputOf, NotSupportedError, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware } from "./adapter.ts";
import type { Kit } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/** `[d0, d1, d2, d3]` becomes `[d2, d0, d3, d1]`; a transpose is that with one row of d0 and of d2. */
interface Axes {
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly d3: number;
}

function axesOf({ values }: Problem): Axes {
  if ("rows" in values) {
    return { d0: 1, d1: valueOf(values, "rows"), d2: 1, d3: valueOf(values, "columns") };
  }
  return {
    d0: valueOf(values, "d0"),
    d1: valueOf(values, "d1"),
    d2: valueOf(values, "d2"),
    d3: valueOf(values, "d3"),
  };
}

/**
 * A workgroup turns a strip of blocks: neighbouring lanes write neighbouring vec4 of a row, the steps
 * of a strip go along the rows that are read.
 */
const blocks = (lanes: number): string => `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
override d0: u32; override d1: u32; override d2: u32; override d3: u32;
override strip: u32;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let across = d3 / 4u;
  let down = d1 / 4u;
  let side = min(8u, down);
  let stride = d2 * across;
  for (var block = group.x * strip + lane; block < (group.x + 1u) * strip; block += ${lanes}u) {
    let column = block / side % across;
    let row = block % side + block / (side * across) % (down / side) * side;
    let part = block / (down * across);
    let source = (part / d2 * d1 + row * 4u) * stride + part % d2 * across + column;
    let place = ((part % d2 * d0 + part / d2) * across + column) * d1 + row;
    let a = x[source];
    let b = x[source + stride];
    let c = x[source + 2u * stride];
    let d = x[source + 3u * stride];
    y[place] = vec4f(a.x, b.x, c.x, d.x);
    y[place + down] = vec4f(a.y, b.y, c.y, d.y);
    y[place + 2u * down] = vec4f(a.z, b.z, c.z, d.z);
    y[place + 3u * down] = vec4f(a.w, b.w, c.w, d.w);
  }
}`;

function turnBlocks(lanes: number, longestStrip: number, variant: string): RawVariant {
  return async (problem, kit) => {
    const { d0, d1, d2, d3 } = axesOf(problem);
    const count = d0 * d1 * d2 * d3;
    const x = kit.input("x", inputOf(problem.inputs, "x"));
    const y = kit.buffer("y", count * 4);
    const strip = Math.min(longestStrip, count / 16);
    const constants = { d0, d1, d2, d3, strip };
    const pipeline = await kit.pipeline("blocks of 4 x 4", blocks(lanes), constants);
    const step = kit.step(pipeline, [x, y], [count / 16 / strip]);
    return kit.prepared([step], [{ buffer: y, count }], variant);
  };
}

/** A tile of 32 x 32, turned in shared memory; its rows have one word more, so that columns meet all banks. */
const tiles = `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override d0: u32; override d1: u32; override d2: u32; override d3: u32;
var<workgroup> tile: array<f32, 1056>;
@compute @workgroup_size(32, 8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let source = (group.z / d2 * d1 * d2 + group.z % d2) * d3 + group.x * 32u + local.x;
  for (var row = local.y; row < 32u; row += 8u) {
    tile[row * 33u + local.x] = x[source + (group.y * 32u + row) * d2 * d3];
  }
  workgroupBarrier();
  let place = (group.z % d2 * d0 + group.z / d2) * d1 * d3 + group.y * 32u + local.x;
  for (var row = local.y; row < 32u; row += 8u) {
    y[place + (group.x * 32u + row) * d1] = tile[local.x * 33u + row];
  }
}`;

async function turnTiles(problem: Problem, kit: Kit): Promise<Prepared> {
  requireHardware(kit);
  const { d0, d1, d2, d3 } = axesOf(problem);
  if (d1 % 32 > 0 || d3 % 32 > 0) throw new NotSupportedError("the axes are not whole tiles");
  const count = d0 * d1 * d2 * d3;
  const x = kit.input("x", inputOf(problem.inputs, "x"));
  const y = kit.buffer("y", count * 4);
  const pipeline = await kit.pipeline("tiles of 32 x 32", tiles, { d0, d1, d2, d3 });
  const step = kit.step(pipeline, [x, y], [d3 / 32, d1 / 32, d0 * d2]);
  return kit.prepared([step], [{ buffer: y, count }], "tiles through shared memory");
}

const turns: readonly RawVariant[] = [
  turnBlocks(8, 2048, "4 x 4 blocks, strips of 8 lanes"),
  turnBlocks(8, 512, "4 x 4 blocks, short strips of 8 lanes"),
  turnBlocks(256, 256, "a 4 x 4 block to an invocation"),
  turnTiles,
];

/**
 * A row to an invocation: what suits a processor, whose lanes then read and write rows of their own.
 * `mat4x4f` moves 64 bytes for one check of bounds.
 */
function gatherRows(unit: "vec4f" | "mat4x4f", lanes: number, mostGroups: number): RawVariant {
  const code = `
@group(0) @binding(0) var<storage, read> x: array<${unit}>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<${unit}>;
override width: u32; override strip: u32;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var row = group.x * strip + lane; row < (group.x + 1u) * strip; row += ${lanes}u) {
    let source = u32(indices[row]) * width;
    for (var at = 0u; at < width; at++) { y[row * width + at] = x[source + at]; }
  }
}`;
  return async (problem, kit) => {
    const count = valueOf(problem.values, "count");
    const width = valueOf(problem.values, "columns") / (unit === "vec4f" ? 4 : 16);
    const groups = Math.min(mostGroups, count / lanes);
    const pipeline = await kit.pipeline("gather", code, { width, strip: count / groups });
    return gather(problem, kit, pipeline, groups, `a row of ${unit} to an invocation`);
  };
}

/** Neighbouring lanes move neighbouring vec4: what suits a GPU. */
const gatherQuadsCode = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
override width: u32;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * 1024u + lane;
  var moved: array<vec4f, 4>;
  for (var part = 0u; part < 4u; part++) {
    let at = first + part * 256u;
    moved[part] = x[u32(indices[at / width]) * width + at % width];
  }
  for (var part = 0u; part < 4u; part++) { y[first + part * 256u] = moved[part]; }
}`;

async function gatherQuads(problem: Problem, kit: Kit): Promise<Prepared> {
  const [columns, count] = [valueOf(problem.values, "columns"), valueOf(problem.values, "count")];
  const pipeline = await kit.pipeline("gather", gatherQuadsCode, { width: columns / 4 });
  const groups = (count * columns) / 4 / 1024;
  return gather(problem, kit, pipeline, groups, "four vec4 to an invocation");
}

function gather(
  { inputs, values }: Problem,
  kit: Kit,
  pipeline: GPUComputePipeline,
  groups: number,
  variant: string,
): Prepared {
  const count = valueOf(values, "count") * valueOf(values, "columns");
  const x = kit.input("table", inputOf(inputs, "table"));
  const indices = kit.input("indices", inputOf(inputs, "indices"));
  const y = kit.buffer("y", count * 4);
  const step = kit.step(pipeline, [x, indices, y], [groups]);
  return kit.prepared([step], [{ buffer: y, count }], variant);
}

const sliceCode = `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
override quads: u32; override first: u32;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let half = quads / 2u;
  y[id.x] = x[first + id.x / half * quads + id.x % half];
}`;

async function sliceByKernel({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const count = (rows * columns) / 4;
  const x = kit.input("x", inputOf(inputs, "x"));
  const y = kit.buffer("y", count * 4);
  const first = ((rows / 4) * columns + columns / 4) / 4;
  const pipeline = await kit.pipeline("slice", sliceCode, { quads: columns / 4, first });
  const step = kit.step(pipeline, [x, y], [count / 4 / 64]);
  return kit.prepared([step], [{ buffer: y, count }], "a vec4 to an invocation");
}

const concatCode = `
@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
override quads: u32;
@compute @workgroup_size(256) fn main(@builtin(global_invocation_id) id: vec3u) {
  let place = id.x + id.x / quads * quads;
  y[place] = a[id.x];
  y[place + quads] = b[id.x];
}`;

async function concatByKernel({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const count = rows * columns;
  const a = kit.input("a", inputOf(inputs, "a"));
  const b = kit.input("b", inputOf(inputs, "b"));
  const y = kit.buffer("y", count * 8);
  const pipeline = await kit.pipeline("concat", concatCode, { quads: columns / 4 });
  const step = kit.step(pipeline, [a, b, y], [count / 4 / 256]);
  return kit.prepared([step], [{ buffer: y, count: 2 * count }], "a vec4 of each to an invocation");
}

/** Rows of a buffer, a stride apart, and the column of the result that they begin at. */
interface Rows {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly stride: number;
  readonly width: number;
  readonly column: number;
}

/** A processor does well to keep a band of rows in its cache on the way. */
const bandBytes = 2 * 2 ** 20;

/** Puts columns side by side by copies into a texture, and out of it; widths are in elements of 4 bytes. */
function throughTexture(sources: readonly Rows[], y: GPUBuffer, rows: number, kit: Kit): Prepared {
  const width = sources.reduce((sum, source) => sum + source.width, 0);
  const strides = [4 * width, ...sources.map(({ stride }) => stride)];
  const { maxTextureDimension2D: most } = kit.device.limits;
  if (strides.some((stride) => stride % 256 > 0) || width > most)
    throw new NotSupportedError("a texture cannot take these rows");
  const band = Math.max(1, Math.min(rows, most, Math.floor(bandBytes / (4 * width))));
  const texture = kit.texture("band of rows", [width, band], "r32uint");
  const record = (encoder: GPUCommandEncoder): void => {
    for (let row = 0; row < rows; row += band) {
      const height = Math.min(band, rows - row);
      for (const { buffer, offset, stride, width: own, column } of sources) {
        encoder.copyBufferToTexture(
          { buffer, offset: offset + row * stride, bytesPerRow: stride },
          { texture, origin: [column, 0] },
          [own, height],
        );
      }
      encoder.copyTextureToBuffer(
        { texture },
        { buffer: y, offset: row * 4 * width, bytesPerRow: 4 * width },
        [width, height],
      );
    }
  };
  const output = { buffer: y, count: rows * width };
  return kit.preparedCopies(record, [output], "copies through a texture");
}

function sliceByCopies({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const middle: Rows = {
    buffer: kit.input("x", inputOf(inputs, "x")),
    offset: (rows / 4) * columns * 4 + columns,
    stride: columns * 4,
    width: columns / 2,
    column: 0,
  };
  const y = kit.buffer("y", rows * columns);
  return Promise.resolve(throughTexture([middle], y, rows / 2, kit));
}

function concatByCopies({ inputs, values }: Problem, kit: Kit): Promise<Prepared> {
  const [rows, columns] = [valueOf(values, "rows"), valueOf(values, "columns")];
  const sides = ["a", "b"].map((name, index): Rows => ({
    buffer: kit.input(name, inputOf(inputs, name)),
    offset: 0,
    stride: columns * 4,
    width: columns,
    column: index * columns,
  }));
  const y = kit.buffer("y", rows * columns * 8);
  return Promise.resolve(throughTexture(sides, y, rows, kit));
}

export const movementKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  transpose: turns,
  permute: turns,
  slice: [sliceByCopies, sliceByKernel],
  gather: [gatherRows("vec4f", 8, 256), gatherRows("mat4x4f", 4, 64), gatherQuads],
  concat: [concatByCopies, concatByKernel],
};
