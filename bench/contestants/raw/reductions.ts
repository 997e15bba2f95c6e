/** Sums, maxima and their places, over everything and along an axis. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware } from "./adapter.ts";
import { acrossWorkgroup, comesFirst, finish, startOf, take, takeFour } from "./folds.ts";
import type { Fold } from "./folds.ts";
import type { Kit, Step } from "./kit.ts";
import type { RawVariant } from "./variant.ts";
import { times } from "./wgsl.ts";

/** Vec4 values, and with argmax the place of each of their elements. */
interface Places {
  readonly values: GPUBuffer;
  readonly places?: GPUBuffer;
}

const elementsOf = (at: string): string => `${at} * 4u + vec4u(0u, 1u, 2u, 3u)`;

/** The bindings of a kernel that folds `x`, which an earlier one may have left with places. */
function bindings(fold: Fold, isPlaced: boolean, isLast: boolean, shared = ""): string {
  const declared = ["var<storage, read> x: array<vec4f>"];
  if (isPlaced) declared.push("var<storage, read> places: array<vec4u>");
  if (!isLast || fold !== "argmax")
    declared.push(`var<storage, read_write> out: array<${isLast ? "f32" : "vec4f"}>`);
  if (fold === "argmax")
    declared.push(`var<storage, read_write> out_places: array<${isLast ? "u32" : "vec4u"}>`);
  declared.push("var<uniform> size: vec4u");
  return `${declared.map((text, at) => `@group(0) @binding(${at}) ${text};`).join("\n")}
${shared}${fold === "argmax" ? comesFirst : ""}`;
}

/**
 * A workgroup folds its strip of vec4 (`size.x` of them), each lane four at a time: side by side in
 * memory for processors, side by side over the lanes for GPUs. Then a lane leaves its vec4, or lane 0
 * what the workgroup has.
 */
function stripKernel(
  fold: Fold,
  lanes: number,
  isNear: boolean,
  isPlaced: boolean,
  ends: "lanes" | "workgroup" | "result",
): string {
  const { shared, code } = acrossWorkgroup(fold, lanes);
  const isArgmax = fold === "argmax";
  const at = (part: number): string =>
    isNear ? `first + lane * 4u + ${part}u` : `first + lane + ${part * lanes}u`;
  const placeOf = (part: number): string =>
    isPlaced ? `places[${at(part)}]` : elementsOf(`(${at(part)})`);
  const left = {
    lanes: `out[group.x * ${lanes}u + lane] = best0;${isArgmax ? ` out_places[group.x * ${lanes}u + lane] = place0;` : ""}`,
    workgroup: `if (lane == 0u) { out[group.x] = vec4f(value, vec3f(${fold === "sum" ? "0.0" : "value"}));${isArgmax ? " out_places[group.x] = vec4u(place);" : ""} }`,
    result: `if (lane == 0u) { ${isArgmax ? "out_places[0] = place;" : "out[0] = value;"} }`,
  }[ends];
  return `${bindings(fold, isPlaced, ends === "result", ends === "lanes" ? "" : shared)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  ${startOf(fold)}
  for (var first = group.x * size.x; first < (group.x + 1u) * size.x; first += ${4 * lanes}u) {
    ${times(4, (part) => `let v${part} = x[${at(part)}];`, " ")}
    ${takeFour(fold, placeOf)}
  }
  ${ends === "lanes" ? "" : `${finish(fold)}\n  ${code}`}
  ${left}
}`;
}

interface Shape {
  readonly variant: string;
  readonly lanes: number;
  readonly isNear: boolean;
  /** Vec4 that one workgroup folds alone; beyond them there are `groups` workgroups, and a second kernel. */
  readonly alone: number;
  readonly groups: number;
}

const onProcessor: Shape = {
  variant: "strips of 8 lanes",
  lanes: 8,
  isNear: true,
  alone: 2048,
  groups: 32,
};

const onGpu: Shape = {
  variant: "workgroups of 256",
  lanes: 256,
  isNear: false,
  alone: 4096,
  groups: 1024,
};

async function foldAll(
  { values, inputs }: Problem,
  kit: Kit,
  fold: Fold,
  shape: Shape,
): Promise<Prepared> {
  const { variant, isNear, alone, groups } = shape;
  const quads = valueOf(values, "elements") / 4;
  const isArgmax = fold === "argmax";
  const steps: Step[] = [];
  const add = async (
    { values: x, places }: Places,
    count: number,
    ends: "lanes" | "workgroup" | "result",
    groupCount: number,
  ): Promise<Places> => {
    // Each lane takes four at a time, so that a short strip has fewer lanes.
    const lanes = Math.min(shape.lanes, count / groupCount / 4);
    const code = stripKernel(fold, lanes, isNear, places !== undefined, ends);
    const left = ends === "lanes" ? groupCount * lanes : groupCount;
    const made = kit.buffer("values", left * 16);
    const madePlaces = isArgmax ? kit.buffer("places", left * 16) : undefined;
    const outputs = isArgmax && ends === "result" ? [] : [made];
    const bound = [x, ...(places === undefined ? [] : [places]), ...outputs];
    if (madePlaces !== undefined) bound.push(madePlaces);
    bound.push(kit.uniform("size", new Uint32Array([count / groupCount, 0, 0, 0])));
    steps.push(kit.step(await kit.pipeline(fold, code), bound, [groupCount]));
    return madePlaces === undefined ? { values: made } : { values: made, places: madePlaces };
  };
  let state: Places = { values: kit.input("x", inputOf(inputs, "x")) };
  let count = quads;
  if (quads > alone) {
    const groupCount = Math.min(groups, quads / (4 * shape.lanes));
    state = await add(state, quads, isNear ? "lanes" : "workgroup", groupCount);
    count = isNear ? groupCount * shape.lanes : groupCount;
  }
  state = await add(state, count, "result", 1);
  return kit.prepared([...steps], [resultOf(state, 1)], variant);
}

function resultOf(
  { values, places }: Places,
  count: number,
): Parameters<Kit["prepared"]>[1][number] {
  if (places === undefined) return { buffer: values, count };
  return { buffer: places, count, type: Uint32Array };
}

/** A row to an invocation, four vec4 at a time. */
function rowKernel(fold: Fold): string {
  const at = (part: number): string => `at + ${part}u`;
  return `${bindings(fold, false, true)}
/** Rows, and the vec4 of one. */
@compute @workgroup_size(8) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= size.x) { return; }
  let first = id.x * size.y;
  ${startOf(fold)}
  for (var at = first; at < first + size.y; at += 4u) {
    ${times(4, (part) => `let v${part} = x[${at(part)}];`, " ")}
    ${takeFour(fold, (part) => elementsOf(`(${at(part)} - first)`))}
  }
  ${finish(fold)}
  ${fold === "argmax" ? "out_places[id.x] = place;" : "out[id.x] = value;"}
}`;
}

/** A row to a workgroup: for GPUs. */
function rowByWorkgroup(fold: Fold, lanes: number): string {
  const { shared, code } = acrossWorkgroup(fold, lanes);
  return `${bindings(fold, false, true, shared)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * size.y;
  ${startOf(fold)}
  for (var at = lane; at < size.y; at += ${lanes}u) {
    ${take(fold, "x[first + at]", elementsOf("at"))}
  }
  ${finish(fold)}
  ${code}
  if (lane == 0u) { ${fold === "argmax" ? "out_places[group.x] = place;" : "out[group.x] = value;"} }
}`;
}

/**
 * Down the columns: an invocation takes `width` neighbouring vec4 of each row of its segment. The
 * uniform holds the rows of a segment and the vec4 of a row; the places are row numbers.
 */
function columnKernel(fold: Fold, lanes: number, width: number, isPlaced: boolean): string {
  const at = (part: number): string => `row * size.y + first + ${part}u`;
  const outputs = (part: number): string =>
    `out${fold === "argmax" ? "_places" : ""}[group.y * size.y + first + ${part}u] = ${fold === "argmax" ? "place" : "best"}${part};`;
  const kept = (part: number): string => `out[group.y * size.y + first + ${part}u] = best${part};`;
  return `${bindings(fold, isPlaced, false)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = (group.x * ${lanes}u + lane) * ${width}u;
  if (first >= size.y) { return; }
  ${startOf(fold, width)}
  for (var row = group.y * size.x; row < (group.y + 1u) * size.x; row++) {
    ${times(width, (part) => `let v${part} = x[${at(part)}];`, " ")}
    ${times(width, (part) => take(fold, `v${part}`, isPlaced ? `places[${at(part)}]` : "vec4u(row)", part), "\n    ")}
  }
  ${times(width, (part) => (fold === "argmax" ? `${kept(part)} ` : "") + outputs(part), "\n  ")}
}`;
}

async function foldRows(
  { values, inputs }: Problem,
  kit: Kit,
  fold: Fold,
  isOnGpu: boolean,
): Promise<Prepared> {
  const [rows, quads] = [valueOf(values, "rows"), valueOf(values, "columns") / 4];
  const lanes = Math.min(64, quads);
  const code = isOnGpu ? rowByWorkgroup(fold, lanes) : rowKernel(fold);
  const out = kit.buffer("out", rows * 4);
  const size = kit.uniform("size", new Uint32Array([rows, quads, 0, 0]));
  const bound = [kit.input("x", inputOf(inputs, "x")), out, size];
  const groups = isOnGpu ? rows : Math.ceil(rows / 8);
  const step = kit.step(await kit.pipeline(`${fold} of rows`, code), bound, [groups]);
  const type = fold === "argmax" ? Uint32Array : Float32Array;
  return kit.prepared(
    [step],
    [{ buffer: out, count: rows, type }],
    isOnGpu ? "a row to a workgroup" : "a row to an invocation",
  );
}

async function foldColumns(
  { values, inputs }: Problem,
  kit: Kit,
  fold: Fold,
  isOnGpu: boolean,
): Promise<Prepared> {
  const [rows, quads] = [valueOf(values, "rows"), valueOf(values, "columns") / 4];
  const [lanes, width] = isOnGpu ? [Math.min(64, quads), 1] : [8, 4];
  const segments = isOnGpu ? 2 ** Math.round(Math.log2(rows) / 2) : 1;
  const isArgmax = fold === "argmax";
  const steps: Step[] = [];
  const add = async (
    { values: x, places }: Places,
    height: number,
    count: number,
  ): Promise<Places> => {
    const code = columnKernel(fold, lanes, width, places !== undefined);
    const made = kit.buffer("values", count * quads * 16);
    const madePlaces = isArgmax ? kit.buffer("places", count * quads * 16) : undefined;
    const bound = [x, ...(places === undefined ? [] : [places]), made];
    if (madePlaces !== undefined) bound.push(madePlaces);
    bound.push(kit.uniform("size", new Uint32Array([height / count, quads, 0, 0])));
    const pipeline = await kit.pipeline(`${fold} of columns`, code);
    steps.push(kit.step(pipeline, bound, [Math.ceil(quads / lanes / width), count]));
    return madePlaces === undefined ? { values: made } : { values: made, places: madePlaces };
  };
  let state: Places = { values: kit.input("x", inputOf(inputs, "x")) };
  state = await add(state, rows, segments);
  if (segments > 1) state = await add(state, segments, 1);
  return kit.prepared(
    steps,
    [resultOf(state, quads * 4)],
    isOnGpu ? "segments of columns" : "columns to an invocation",
  );
}

function whole(fold: Fold): RawVariant[] {
  return [
    (problem, kit) => foldAll(problem, kit, fold, onProcessor),
    (problem, kit) => {
      requireHardware(kit);
      return foldAll(problem, kit, fold, onGpu);
    },
  ];
}

function alongAxis(fold: Fold): RawVariant[] {
  return [false, true].map((isOnGpu) => (problem, kit) => {
    if (valueOf(problem.values, "axis") === 0) return foldColumns(problem, kit, fold, isOnGpu);
    if (isOnGpu) requireHardware(kit);
    return foldRows(problem, kit, fold, isOnGpu);
  });
}

export const reductionKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  sum: whole("sum"),
  max: whole("max"),
  argmax: whole("argmax"),
  "sum along an axis": alongAxis("sum"),
  "max along an axis": alongAxis("max"),
  "argmax along an axis": alongAxis("argmax"),
};
