/** Matrix products: plain, batched, of transposed and sliced operands, and with what follows them. */

import { inputOf, NotSupportedError, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware, requireVectorLanes } from "./adapter.ts";
import type { Kit, Step } from "./kit.ts";
import {
  registerTile,
  sharedDepth,
  sharedTile,
  sizeNumbers,
  workgroupsOf,
} from "./matmul-kernels.ts";
import type { ProductKernel, ProductSize, ProductText, SharedTile } from "./matmul-kernels.ts";
import type { RawVariant } from "./variant.ts";

/** One way to compute a product on the kit's adapter; throws NotSupportedError where it cannot. */
export type ProductDesign = (
  kit: Kit,
  text: ProductText,
  size: ProductSize,
) => {
  readonly kernel: ProductKernel;
  readonly workgroups: readonly [number, number, number];
};

/** Small enough to compile soon, and it asks for nothing: what a cold start begins with. */
export const inRegisters: ProductDesign = (_, text, size) => {
  const isTransposed = text.isTransposed === true;
  const kernel = registerTile(text, {
    lanes: size.n % 32 === 0 ? 8 : 4,
    rows: 4,
    columns: isTransposed ? 4 : 1,
    unit: isTransposed ? "f32" : "vec4f",
    broadcasts: false,
  });
  return { kernel, workgroups: workgroupsOf(size, kernel) };
};

function isWorthLargeTiles(lanes: number, { m, k, n }: ProductSize): boolean {
  return lanes === 4 && m * k * n >= 2 ** 27;
}

/** As many sums to a lane as registers and the first-level cache will hold. */
export function byBroadcasts(rows: 16 | 32): ProductDesign {
  return (kit, text, size) => {
    const lanes = requireVectorLanes(kit);
    // Twice the rows compile for twice as long, and gain a tenth where vectors are short.
    if (rows === 32 && !isWorthLargeTiles(lanes, size))
      throw new NotSupportedError("tiles of 32 rows gain nothing here");
    const vectors = lanes === 4 ? 2 : 1;
    const isTransposed = text.isTransposed === true;
    const kernel = registerTile(text, {
      lanes,
      rows,
      columns: isTransposed ? 4 * vectors : vectors,
      unit: isTransposed ? "f32" : "vec4f",
      broadcasts: true,
      byFours: lanes > 4,
    });
    return { kernel, workgroups: workgroupsOf(size, kernel) };
  };
}

/** The tile that is best for the size on a processor. */
export const onProcessor: ProductDesign = (kit, text, size) => {
  const rows = isWorthLargeTiles(requireVectorLanes(kit), size) ? 32 : 16;
  return byBroadcasts(rows)(kit, text, size);
};

/** For few columns, which need not be whole tiles. */
export function ofFewColumns(broadcasts: boolean): ProductDesign {
  return (kit, text, size) => {
    const lanes = broadcasts ? requireVectorLanes(kit) : 8;
    const columns = Math.ceil(Math.min(size.n, 16) / lanes);
    const rows = broadcasts ? 16 : 4;
    const tile = { lanes, rows, columns, unit: "f32", broadcasts, isGuarded: true } as const;
    const kernel = registerTile(text, tile);
    return { kernel, workgroups: workgroupsOf(size, kernel, tile) };
  };
}

export function inSharedMemory(tile: SharedTile): ProductDesign {
  return (kit, text, size) => {
    requireHardware(kit);
    const kernel = sharedTile(text, tile);
    return { kernel, workgroups: workgroupsOf(size, kernel, { deep: sharedDepth }) };
  };
}

/** The designs worth trying for large products, the one that compiles soonest first. */
export const productDesigns: readonly ProductDesign[] = [
  inRegisters,
  byBroadcasts(16),
  byBroadcasts(32),
  inSharedMemory({ rows: 32, columns: 32, each: 4 }),
  inSharedMemory({ rows: 64, columns: 64, each: 4 }),
  inSharedMemory({ rows: 128, columns: 128, each: 8 }),
];

/** A product as a step: buffers in the order of the text, a and b first, y last. */
export async function productStep(
  kit: Kit,
  design: ProductDesign,
  label: string,
  text: ProductText,
  size: ProductSize,
  buffers: readonly GPUBuffer[],
): Promise<{ readonly step: Step; readonly variant: string }> {
  const { kernel, workgroups } = design(kit, text, size);
  const numbers = kit.uniform(`${label}: size`, sizeNumbers(size, text, kernel.unit));
  const pipeline = await kit.pipeline(label, kernel.code);
  return { step: kit.step(pipeline, [...buffers, numbers], workgroups), variant: kernel.variant };
}

async function run(
  { inputs, values }: Problem,
  kit: Kit,
  design: ProductDesign,
  label: string,
  text: ProductText,
  more: Partial<ProductSize> = {},
): Promise<Prepared> {
  const [batch, m, k, n] = [
    valueOf(values, "batch"),
    valueOf(values, "m"),
    valueOf(values, "k"),
    valueOf(values, "n"),
  ];
  const size = { batch, m, k, n, ...more };
  const names = ["a", "b", ...(text.extras ?? [])];
  const y = kit.buffer("y", batch * m * n * 4);
  const buffers = [...names.map((name) => kit.input(name, inputOf(inputs, name))), y];
  const { step, variant } = await productStep(kit, design, label, text, size, buffers);
  return kit.prepared([step], [{ buffer: y, count: batch * m * n }], variant);
}

function variants(
  label: string,
  text: ProductText,
  more: (values: Problem["values"]) => Partial<ProductSize> = () => ({}),
): RawVariant[] {
  return productDesigns.map(
    (design) => (problem, kit) => run(problem, kit, design, label, text, more(problem.values)),
  );
}

export const matmulKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  matmul: variants("matmul", {}),
  "batched matmul": variants("batched matmul", {}),
  "matmul of a transposed operand": variants("matmul of a transposed operand", {
    isTransposed: true,
  }),
  "matmul of a sliced operand": variants("matmul of a sliced operand", {}, (values) => ({
    aRow: 2 * valueOf(values, "k"),
    aFirst: valueOf(values, "k"),
  })),
  "matmul with bias and activation": variants("matmul with bias and activation", {
    extras: ["bias"],
    result: (unit) => `max(value + bias[column], ${unit}())`,
  }),
};
