/**
 * Matrix products in WGSL, y = a b for each of a batch, with something done to each result on its way
 * out. Two designs: tiles in the registers of small workgroups, for processors; tiles in shared
 * memory, for GPUs. What both read about sizes is in a uniform, so that loops have no constant length.
 */

import { NotSupportedError } from "../../core/contract.ts";
import { times } from "./wgsl.ts";

export type Unit = "f32" | "vec2f" | "vec4f";

/** What a product is, apart from its sizes. */
export interface ProductText {
  /** `b` is held as [n, k]; as [k, n] unless told. */
  readonly isTransposed?: boolean;
  /** Inputs beyond a and b, held in units of a row. */
  readonly extras?: readonly string[];
  /** The result from `value`, with its place `at` in y, and its `column`, both in units. */
  readonly result?: (unit: Unit) => string;
  readonly functions?: (unit: Unit) => string;
  /** How the rows of a are found, where a is no matrix. */
  readonly rowsOfA?: RowsOfA;
}

/** What comes before the loop over k for each row, and a vec4 of that row; `at` sets names apart. */
export interface RowsOfA {
  readonly prepare: (row: string, at: number) => string;
  readonly load: (k: string, at: number) => string;
}

const rowsOfMatrix: RowsOfA = {
  prepare: (row, at) =>
    `let place${at} = size.a_first + group.z * size.a_batch + (${row}) * size.a_row;`,
  load: (k, at) => `a[place${at} + ${k}]`,
};

/** One kernel for a product: its text, and what of y one workgroup makes. */
export interface ProductKernel {
  readonly variant: string;
  readonly code: string;
  readonly unit: Unit;
  readonly rows: number;
  readonly columns: number;
}

/** How many scalars a unit has. */
function widthOf(unit: Unit): number {
  return { f32: 1, vec2f: 2, vec4f: 4 }[unit];
}

function head({ isTransposed, extras = [], functions }: ProductText, unit: Unit): string {
  const inputs = ["a", "b", ...extras].map((name) => {
    const type = name === "a" || (name === "b" && isTransposed === true) ? "vec4f" : unit;
    return `var<storage, read> ${name}: array<${type}>`;
  });
  const all = [...inputs, `var<storage, read_write> y: array<${unit}>`, "var<uniform> size: Size"];
  return `/** In vec4 of k, and units of n; \`a_row\` is from one row of a to the next. */
struct Size { m: u32, k: u32, n: u32, a_first: u32, a_row: u32, a_batch: u32, b_batch: u32, y_batch: u32, more: vec4u }
${all.map((text, at) => `@group(0) @binding(${at}) ${text};`).join("\n")}
${functions?.(unit) ?? ""}`;
}

export interface RegisterTile {
  readonly lanes: number;
  readonly rows: number;
  /** Units to a lane. */
  readonly columns: number;
  readonly unit: Unit;
  /** The lanes are a subgroup: each loads a part of a, and hands it to the others. */
  readonly broadcasts: boolean;
  /** Four products go into a sum at a time, so that sums beyond the registers are seldom fetched. */
  readonly byFours?: boolean;
  /** Whether n may end within a tile. */
  readonly isGuarded?: boolean;
}

/**
 * The lanes of a small workgroup lie side by side in the columns, and each makes all rows of the tile.
 * Loads are what a software adapter is slow at: a lane's load of b serves `rows` results, and where
 * lanes can hand numbers to each other, a is loaded once for all of them.
 */
export function registerTile(text: ProductText, tile: RegisterTile): ProductKernel {
  const { lanes, rows, columns, unit, broadcasts, byFours = false, isGuarded = false } = tile;
  const { isTransposed = false, rowsOfA = rowsOfMatrix } = text;
  const eachSum = (piece: (row: number, column: number) => string): string =>
    times(rows, (row) => times(columns, (column) => piece(row, column), " "), "\n    ");
  const column = (index: number): string => `(first_column + ${index * lanes}u)`;
  const readColumn = (index: number): string =>
    isGuarded ? `min(${column(index)}, size.n - 1u)` : column(index);
  const loadedRows = broadcasts ? Math.ceil(rows / lanes) : rows;
  const loadA = broadcasts
    ? `${times(loadedRows, (at) => `let own${at} = ${rowsOfA.load("k", at)};`, " ")}
    ${times(rows, (row) => `let a${row} = subgroupBroadcast(own${Math.floor(row / lanes)}, ${row % lanes}u);`, "\n    ")}`
    : times(rows, (row) => `let a${row} = ${rowsOfA.load("k", row)};`, "\n    ");
  const parts = ["x", "y", "z", "w"];
  const loadB = (part: number, suffix = ""): string =>
    `let b_row${part} = b_first + (k * 4u + ${part}u) * size.n; ${times(columns, (at) => `let b${at}${suffix} = b[b_row${part} + ${readColumn(at)}];`, " ")}`;
  const product = (row: number, part: number, b: string, sum: string): string =>
    `fma(${unit}(a${row}.${parts[part]!}), ${b}, ${sum})`;
  let step: string;
  if (isTransposed) {
    step = `${times(columns, (at) => `let b${at} = b[b_first + ${readColumn(at)} * size.k + k];`, " ")}
    ${eachSum((row, at) => `sum${row}_${at} += dot(a${row}, b${at});`)}`;
  } else if (byFours) {
    step = `${times(4, (part) => loadB(part, `_${part}`), "\n    ")}
    ${eachSum((row, at) => `sum${row}_${at} = ${[0, 1, 2, 3].reduce((sum, part) => product(row, part, `b${at}_${part}`, sum), `sum${row}_${at}`)};`)}`;
  } else {
    step = times(
      4,
      (part) => `{
    ${loadB(part)}
    ${eachSum((row, at) => `sum${row}_${at} = ${product(row, part, `b${at}`, `sum${row}_${at}`)};`)}
    }`,
      "\n    ",
    );
  }
  const store = eachSum((row, index) => {
    const write = `let column = ${column(index)}; let at = y_first + (first_row + ${row}u) * size.n + column; let value = sum${row}_${index}; y[at] = ${text.result?.(unit) ?? "value"};`;
    return isGuarded ? `if (${column(index)} < size.n) { ${write} }` : `{ ${write} }`;
  });
  return {
    variant: `${rows} rows and ${columns * widthOf(unit)} columns to a lane${broadcasts ? ", a by broadcasts" : ""}`,
    unit,
    rows,
    columns: lanes * columns * widthOf(unit),
    code: `${broadcasts ? "enable subgroups;\n" : ""}${head(text, unit)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32${broadcasts ? ", @builtin(subgroup_invocation_id) lane: u32" : ""}) {
  ${broadcasts ? "" : "let lane = index;"}
  let first_row = group.y * ${rows}u;
  let first_column = group.x * ${lanes * columns}u + lane;
  let b_first = group.z * size.b_batch;
  let y_first = group.z * size.y_batch;
  ${times(loadedRows, (at) => rowsOfA.prepare(`first_row + ${broadcasts ? `${at * lanes}u + lane${lanes > rows ? ` % ${rows}u` : ""}` : `${at}u`}`, at), "\n  ")}
  ${eachSum((row, at) => `var sum${row}_${at} = ${unit}();`)}
  for (var k = 0u; k < size.k; k++) {
    ${loadA}
    ${step}
  }
  ${store}
}`,
  };
}

export interface SharedTile {
  readonly rows: number;
  readonly columns: number;
  /** Rows, and columns, to an invocation. */
  readonly each: 4 | 8;
}

/** Vec4 of k that are held in shared memory at a time. */
const depth = 4;

/**
 * Workgroups load a tile of a and one of b into shared memory, and each invocation makes `each` times
 * `each` results of them. Tiles of a, and of a transposed b, have rows of k, one vec4 longer than they
 * need be, so that lanes which read different rows do not meet in one bank.
 */
export function sharedTile(text: ProductText, { rows, columns, each }: SharedTile): ProductKernel {
  const { isTransposed = false, rowsOfA = rowsOfMatrix } = text;
  const unit = isTransposed ? "f32" : "vec4f";
  const [across, down] = [columns / each, rows / each];
  const size = across * down;
  const pitch = depth + 1;
  const units = each / widthOf(unit);
  const eachSum = (piece: (row: number, column: number) => string): string =>
    times(each, (row) => times(units, (column) => piece(row, column), " "), "\n      ");
  const loadB = isTransposed
    ? `for (var at = index; at < ${columns * depth}u; at += ${size}u) {
      let column = at / ${depth}u; let k = at % ${depth}u;
      tile_b[column * ${pitch}u + k] = b[b_first + (group.x * ${columns}u + column) * size.k + first + k];
    }`
    : `for (var at = index; at < ${columns * depth}u; at += ${size}u) {
      let k = at / ${columns / 4}u; let column = at % ${columns / 4}u;
      tile_b[at] = b[b_first + (first * 4u + k) * size.n + group.x * ${columns / 4}u + column];
    }`;
  const step = isTransposed
    ? `${times(units, (at) => `let b${at} = tile_b[(x + ${at * across}u) * ${pitch}u + k];`, " ")}
      ${eachSum((row, at) => `sum${row}_${at} += dot(a${row}, b${at});`)}`
    : ["x", "y", "z", "w"]
        .map(
          (part, at) => `{
      ${times(units, (index) => `let b${index} = tile_b[(k * 4u + ${at}u) * ${columns / 4}u + x + ${index * across}u];`, " ")}
      ${eachSum((row, index) => `sum${row}_${index} = fma(vec4f(a${row}.${part}), b${index}, sum${row}_${index});`)}
      }`,
        )
        .join("\n      ");
  return {
    variant: `${rows}x${columns} in shared memory`,
    unit,
    rows,
    columns,
    code: `${head(text, unit)}
var<workgroup> tile_a: array<vec4f, ${rows * pitch}>;
var<workgroup> tile_b: array<vec4f, ${isTransposed ? columns * pitch : columns * depth}>;
@compute @workgroup_size(${size})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) index: u32) {
  let x = index % ${across}u;
  let y_in_tile = index / ${across}u;
  let b_first = group.z * size.b_batch;
  ${eachSum((row, at) => `var sum${row}_${at} = ${unit}();`)}
  for (var first = 0u; first < size.k; first += ${depth}u) {
    for (var at = index; at < ${rows * depth}u; at += ${size}u) {
      let row = at / ${depth}u; let k = at % ${depth}u;
      ${rowsOfA.prepare(`group.y * ${rows}u + row`, 0)}
      tile_a[row * ${pitch}u + k] = ${rowsOfA.load("first + k", 0)};
    }
    ${loadB}
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      ${times(each, (row) => `let a${row} = tile_a[(y_in_tile + ${row * down}u) * ${pitch}u + k];`, " ")}
      ${step}
    }
    workgroupBarrier();
  }
  ${eachSum(
    (row, index) =>
      `{ let column = group.x * ${columns / widthOf(unit)}u + x + ${index * across}u; let at = group.z * size.y_batch + (group.y * ${rows}u + y_in_tile + ${row * down}u) * size.n + column; let value = sum${row}_${index}; y[at] = ${text.result?.(unit) ?? "value"}; }`,
  )}
}`,
  };
}

/** Sizes in scalars; `aRow` and `aFirst` where a is part of a wider matrix. */
export interface ProductSize {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly batch?: number;
  readonly aRow?: number;
  readonly aFirst?: number;
  /** All of a batch multiply the same a. */
  readonly sharesA?: boolean;
  /** What a text's own functions read, up to four numbers. */
  readonly more?: readonly number[];
}

/** What the uniform holds. */
export function sizeNumbers(
  { m, k, n, aRow = k, aFirst = 0, sharesA = false, more = [] }: ProductSize,
  { isTransposed = false }: ProductText,
  unit: Unit,
): Uint32Array<ArrayBuffer> {
  const width = widthOf(unit);
  const aBatch = sharesA ? 0 : (m * aRow) / 4;
  const bBatch = (k * n) / (isTransposed ? 4 : width);
  const numbers = [m, k / 4, n / width, aFirst / 4, aRow / 4, aBatch, bBatch, (m * n) / width];
  return new Uint32Array([...numbers, ...more, 0, 0, 0, 0].slice(0, 12));
}

/** @throws NotSupportedError where the sizes are no whole tiles */
export function workgroupsOf(
  { m, k, n, batch = 1 }: ProductSize,
  { rows, columns }: ProductKernel,
  { isGuarded = false, deep = 1 }: { readonly isGuarded?: boolean; readonly deep?: number } = {},
): readonly [number, number, number] {
  if (m % rows !== 0 || (!isGuarded && n % columns !== 0) || k % (4 * deep) !== 0)
    throw new NotSupportedError(`[${m}, ${k}] x [${k}, ${n}] is no whole number of tiles`);
  return [Math.ceil(n / columns), m / rows, batch];
}

export const sharedDepth = depth;
