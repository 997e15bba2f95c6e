/**
 * A convolution as a product: pixels are the rows, and the channels of their nine neighbours are k,
 * found in place. The weights [3, 3, channels, filters] are [k, n] as they are.
 */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireVectorLanes } from "./adapter.ts";
import type { Kit } from "./kit.ts";
import { registerTile, workgroupsOf } from "./matmul-kernels.ts";
import type { ProductText } from "./matmul-kernels.ts";
import { inRegisters, inSharedMemory, productStep } from "./matmul.ts";
import type { ProductDesign } from "./matmul.ts";
import type { RawVariant } from "./variant.ts";

/** Heights, widths and channels are powers of two; `size.more` holds height, width and two logarithms. */
const convolution: ProductText = {
  functions: () => `
/** A vec4 of the channels of one neighbour; zeros beyond the edge. */
fn neighbour(pixel: u32, k: u32) -> vec4f {
  let tap = k >> size.more.w;
  let tap_row = (tap * 11u) >> 5u;
  // One less than the edge wraps round, and is beyond it as well.
  let row = (pixel >> size.more.z) + tap_row - 1u;
  let column = (pixel & (size.more.y - 1u)) + tap - 3u * tap_row - 1u;
  let is_within = row < size.more.x && column < size.more.y;
  let at = (((row << size.more.z) + column) << size.more.w) + (k & ((1u << size.more.w) - 1u));
  return select(vec4f(), a[select(0u, at, is_within)], is_within);
}`,
  rowsOfA: {
    prepare: (row, at) => `let pixel${at} = ${row};`,
    load: (k, at) => `neighbour(pixel${at}, ${k})`,
  },
};

/** The lanes lie side by side in the filters, of which there may be few. */
const byBroadcasts: ProductDesign = (kit, text, size) => {
  const lanes = requireVectorLanes(kit);
  const unit = size.n < 4 * lanes ? "vec2f" : "vec4f";
  const columns = lanes === 4 && size.n >= 32 ? 2 : 1;
  const kernel = registerTile(text, {
    lanes,
    rows: 16,
    columns,
    unit,
    broadcasts: true,
    byFours: lanes > 4,
  });
  return { kernel, workgroups: workgroupsOf(size, kernel) };
};

async function run(
  { inputs, values }: Problem,
  kit: Kit,
  design: ProductDesign,
): Promise<Prepared> {
  const [height, width, channels, filters] = [
    valueOf(values, "height"),
    valueOf(values, "width"),
    valueOf(values, "channels"),
    valueOf(values, "filters"),
  ];
  const size = {
    m: height * width,
    k: 9 * channels,
    n: filters,
    more: [height, width, Math.log2(width), Math.log2(channels / 4)],
  };
  const y = kit.buffer("y", height * width * filters * 4);
  const buffers = [
    kit.input("x", inputOf(inputs, "x")),
    kit.input("weights", inputOf(inputs, "weights")),
    y,
  ];
  const { step, variant } = await productStep(kit, design, "conv2d", convolution, size, buffers);
  return kit.prepared([step], [{ buffer: y, count: height * width * filters }], variant);
}

const designs: readonly ProductDesign[] = [
  inRegisters,
  byBroadcasts,
  inSharedMemory({ rows: 64, columns: 16, each: 4 }),
  inSharedMemory({ rows: 64, columns: 32, each: 4 }),
  inSharedMemory({ rows: 64, columns: 64, each: 4 }),
];

export const convolutionKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  conv2d: designs.map((design) => (problem, kit) => run(problem, kit, design)),
};
