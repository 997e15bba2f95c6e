/** The edge map by hand: for processors by walks along rows and down columns, for GPUs by tiles. */

import { inputOf, valueOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import { requireHardware } from "./adapter.ts";
import {
  edgesByTiles,
  edgesDownColumns,
  forget,
  lumaAlongRows,
  normalise,
} from "./edge-map-kernels.ts";
import type { Kit, Step } from "./kit.ts";
import type { RawVariant } from "./variant.ts";

/** What every kernel binds after its own buffers: the weights, and height and width. */
interface Shared {
  readonly kit: Kit;
  readonly height: number;
  readonly width: number;
  readonly picture: GPUBuffer;
  readonly y: GPUBuffer;
  /** The bits of the highest magnitude so far; the first kernel sets it to nought. */
  readonly highest: GPUBuffer;
  readonly taps: GPUBuffer;
  readonly size: GPUBuffer;
}

type Magnitudes = (shared: Shared) => Promise<readonly Step[]>;

/** Luma and the blur along x by a walk along each row, the rest by walks down the columns. */
const byWalks: Magnitudes = async ({ kit, height, width, picture, y, highest, taps, size }) => {
  const across = kit.buffer("across", height * width * 4);
  const along = await kit.pipeline("luma and blur along x", lumaAlongRows);
  const down = await kit.pipeline("blur along y and edges", edgesDownColumns);
  return [
    kit.step(along, [picture, across, highest, taps, size], [Math.ceil(height / 8)]),
    kit.step(down, [across, across, y, highest, taps, size], [Math.ceil(width / 64)]),
  ];
};

/** Everything up to the magnitudes in shared memory. */
const byTiles: Magnitudes = async ({ kit, height, width, picture, y, highest, taps, size }) => {
  requireHardware(kit);
  const { code, columns, rows } = edgesByTiles;
  const tiles = await kit.pipeline("edges by tiles", code);
  const groups = [Math.ceil(width / columns), Math.ceil(height / rows)] as const;
  return [
    kit.step(await kit.pipeline("forget", forget), [highest], [1]),
    kit.step(tiles, [picture, y, highest, taps, size], groups),
  ];
};

async function run(
  { inputs, values }: Problem,
  kit: Kit,
  variant: string,
  magnitudes: Magnitudes,
  strips: boolean,
): Promise<Prepared> {
  const [height, width] = [valueOf(values, "height"), valueOf(values, "width")];
  const weights = new Float32Array(16);
  weights.set(inputOf(inputs, "taps").data);
  const y = kit.buffer("y", height * width * 4);
  const highest = kit.buffer("highest", 4);
  const steps = await magnitudes({
    kit,
    height,
    width,
    picture: kit.input("picture", inputOf(inputs, "picture")),
    y,
    highest,
    taps: kit.uniform("taps", weights),
    size: kit.uniform("size", new Uint32Array([height, width])),
  });
  const quads = (height * width) / 4;
  const lanes = strips ? 8 : 256;
  const strip = strips ? Math.max(512, Math.ceil(quads / 256 / lanes) * lanes) : lanes;
  const numbers = kit.uniform("strip", new Uint32Array([quads, strip]));
  const pipeline = await kit.pipeline("normalise", normalise(lanes));
  const last = kit.step(pipeline, [y, highest, numbers], [Math.ceil(quads / strip)]);
  return kit.prepared([...steps, last], [{ buffer: y, count: height * width }], variant);
}

export const edgeMapKernels: Readonly<Record<string, readonly RawVariant[]>> = {
  "edge map": [
    (problem, kit) => run(problem, kit, "by walks", byWalks, true),
    (problem, kit) => run(problem, kit, "by tiles", byTiles, false),
  ],
};
