/**
 * The main job: the edge map of a picture, from pinned memory through device scratch and back, in
 * Node and in browsers. Scratch is disposed as soon as it is consumed, so that the next stage can
 * have its memory; what is left ends with its scope.
 *
 *     upload ▸ luma ▸ blurX ▸ blurY ▸ sobel ▸ magnitude ▸ max ▸ normalise ▸ download
 *
 * In several strips, magnitudes wait on the host until the largest of all strips is known.
 */

import type { PinnedTensor, Runtime, Scope, Tensor, TensorInput } from "moorage";

import {
  gaussianWeights,
  lumaOfBytes,
  lumaOfWords,
  magnitude,
  normalise,
  sobel,
  sobelInvocations,
} from "./kernels.ts";
import type { Picture } from "./png.ts";
import { StageClock } from "./stage-clock.ts";
import type { StageTiming } from "./stage-clock.ts";
import { pixelBytes, planStrips } from "./strips.ts";
import type { Strip, StripPlan } from "./strips.ts";

export type { StageTiming } from "./stage-clock.ts";
export { requireSigma, runtimeOptionsFor } from "./strips.ts";

export interface EdgeMapOptions {
  /** Of the Gaussian, in pixels; 2 unless told. */
  readonly sigma?: number;
  /**
   * What all `GPUBuffer`s of the runtime together may take; the picture is cut into strips to fit.
   * The runtime must have been opened with {@link runtimeOptionsFor} the same budget.
   */
  readonly budgetBytes?: number;
  /** Told before and after each stage how much is done, 0…1. */
  readonly onProgress?: (done: number, stage: string) => void;
  readonly signal?: AbortSignal;
}

export interface EdgeMapResult {
  /** 8-bit gray, `width * height`, row by row. */
  readonly pixels: Uint8Array;
  /** Before normalising; 0 where the picture counts as flat, and is black. */
  readonly maxMagnitude: number;
  readonly strips: number;
  readonly stages: readonly StageTiming[];
}

/** Smaller magnitudes are rounding errors of a flat picture. */
const flatMagnitude = 1e-3;

/**
 * The edge map of a picture. Afterwards nothing of it is left allocated, whether it resolves or not.
 * Rejects with `INVALID_ARGUMENT` for a sigma that is none, and with `OUT_OF_MEMORY` where no strip
 * fits into the budget, before any work is done.
 */
export async function edgeMap(
  runtime: Runtime,
  picture: Picture,
  options: EdgeMapOptions = {},
): Promise<EdgeMapResult> {
  const { sigma = 2, budgetBytes, onProgress, signal } = options;
  const plan = planStrips(picture, sigma, budgetBytes);
  const weights = gaussianWeights(sigma);
  const strips = plan.strips.length;
  const steps = strips === 1 ? 9 : strips * 8 + chunksOf(picture, plan).length * 3;
  const clock = new StageClock(runtime, { steps, onProgress, signal });
  // All at once: under a budget there is no room for a second slab.
  if (budgetBytes !== undefined) await runtime.reserve(plan.deviceBytes);
  const outcome = await runtime.scope(
    async (scope) => {
      const taps = scope.tensor(weights, {
        shape: [weights.length],
        dtype: "float32",
        label: "gaussian weights",
      });
      const job = { runtime, picture, plan, clock, taps };
      return await (strips === 1 ? inOnePiece(scope, job) : inStrips(scope, job));
    },
    signal === undefined ? { label: "edge map" } : { label: "edge map", signal },
  );
  return { ...outcome, strips, stages: clock.stages };
}

/** What every part of one run needs. */
interface Job {
  readonly runtime: Runtime;
  readonly picture: Picture;
  readonly plan: StripPlan;
  readonly clock: StageClock;
  readonly taps: TensorInput<"float32">;
}

type Outcome = Pick<EdgeMapResult, "pixels" | "maxMagnitude">;

/** Everything in one scope; the magnitudes never leave the device. */
async function inOnePiece<C>(scope: Scope<C>, job: Job): Promise<Outcome> {
  const raw = rawWindow(scope, job);
  const magnitudes = await magnitudesOf(scope, job, raw, job.plan.strips[0]!);
  const maxMagnitude = await maximumOf(scope, job, magnitudes);
  const pixels = await graysOf(scope, job, magnitudes, maxMagnitude);
  await raw.mapped();
  return { pixels, maxMagnitude };
}

/** Two passes: the magnitudes of all strips to the host, then all of them, normalised, back. */
async function inStrips<C>(scope: Scope<C>, job: Job): Promise<Outcome> {
  const { runtime, picture, plan, clock } = job;
  const { width, height } = picture;
  const found = new Float32Array(width * height);
  let maximum = 0;
  const raw = rawWindow(scope, job);
  for (const strip of plan.strips) {
    await scope.scope(async (inner) => {
      const magnitudes = await magnitudesOf(inner, job, raw, strip);
      maximum = Math.max(maximum, await maximumOf(inner, job, magnitudes));
      const data = await clock.measure("download", magnitudes.size * 4, () => magnitudes.data());
      found.set(data, strip.start * width);
    });
  }
  // Mapped, so that it is in the pool at once: the second pass takes a buffer of the same size.
  await raw.mapped();
  raw.dispose();

  const pixels = new Uint8Array(width * height);
  const values = scope.use(
    runtime.pinned.tensor({
      shape: [raw.byteLength / 4],
      dtype: "float32",
      label: "magnitudes",
    }),
  );
  for (const [start, end] of chunksOf(picture, plan)) {
    await scope.scope(async (inner) => {
      const uploaded = await clock.measure("upload", values.byteLength, async () => {
        const { data } = await values.mapped();
        data.set(found.subarray(start, end));
        return inner.upload(values);
      });
      pixels.set(await graysOf(inner, job, uploaded.slice([0, end - start]), maximum), start);
    });
  }
  await values.mapped();
  return { pixels, maxMagnitude: maximum };
}

/**
 * Pixels of the second pass, as ranges of one size: as many magnitudes as fit into a window's raw
 * bytes. The last range moves up instead of shrinking.
 */
function chunksOf(picture: Picture, { windowRows }: StripPlan): [start: number, end: number][] {
  const total = picture.width * picture.height;
  const count = Math.min(total, (windowRows * picture.width * pixelBytes(picture)) / 4);
  return Array.from({ length: Math.ceil(total / count) }, (_, index) => {
    const start = Math.min(index * count, total - count);
    return [start, start + count];
  });
}

/** Pinned memory for the samples of a window: the bytes of each pixel, the low one first. */
function rawWindow<C>(scope: Scope<C>, { runtime, picture, plan }: Job): PinnedTensor<"uint8"> {
  const shape = [plan.windowRows, picture.width, pixelBytes(picture)];
  return scope.use(runtime.pinned.tensor({ shape, dtype: "uint8", label: "samples" }));
}

/** From raw samples to the magnitudes of one strip. */
async function magnitudesOf<C>(
  scope: Scope<C>,
  job: Job,
  raw: PinnedTensor<"uint8">,
  strip: Strip,
): Promise<Tensor<"float32", C>> {
  const { picture, plan, clock, taps } = job;
  const { width } = picture;
  const { windowRows, stripRows } = plan;
  const planeBytes = windowRows * width * 4;
  const stripBytes = stripRows * width * 4;

  const samples = await clock.measure("upload", raw.byteLength, async () => {
    const { data } = await raw.mapped();
    const { buffer, byteOffset } = picture.samples;
    const start = byteOffset + strip.windowStart * width * pixelBytes(picture);
    data.set(new Uint8Array(buffer, start, raw.byteLength));
    return scope.upload(raw);
  });
  const luma = await clock.measure("luma", raw.byteLength + planeBytes, () => {
    const made = lumaOf(scope, samples, picture.maximum);
    samples.dispose();
    return made;
  });
  const blurredX = await clock.measure("blurX", 2 * planeBytes, () => {
    const made = scope.convolve(luma, taps, { axis: -1, label: "blurred in x" });
    luma.dispose();
    return made;
  });
  const blurred = await clock.measure("blurY", 2 * planeBytes, () => {
    const made = scope.convolve(blurredX, taps, { axis: -2, label: "blurred" });
    blurredX.dispose();
    return made;
  });
  const { gx, gy } = await clock.measure("sobel", 3 * planeBytes, () => {
    const made = scope.run(sobel, {
      inputs: { source: blurred },
      shapes: { gx: [windowRows, width], gy: [windowRows, width] },
      invocations: [Math.min(width, sobelInvocations), Math.min(windowRows, sobelInvocations)],
    });
    blurred.dispose();
    return made;
  });
  return await clock.measure("magnitude", 3 * stripBytes, () => {
    // The halo ends here: only the strip's own rows go on.
    const first = strip.start - strip.windowStart;
    const rows = [first, first + stripRows] as const;
    const made = scope.map(magnitude, [gx.slice(rows), gy.slice(rows)]);
    gx.dispose();
    gy.dispose();
    return made;
  });
}

/** Luma, 0…1, of the raw bytes `[rows, columns, bytes of a pixel]`. Alpha is ignored. */
function lumaOf<C>(
  scope: Scope<C>,
  samples: Tensor<"uint8", C>,
  maximum: number,
): Tensor<"float32", C> {
  const plane = (index: number): TensorInput => samples.slice(null, null, index);
  const parameters = { scale: 1 / maximum };
  return samples.shape[2] === 4
    ? scope.map(lumaOfBytes, [0, 1, 2].map(plane), { parameters })
    : scope.map(lumaOfWords, [0, 1, 2, 3, 4, 5].map(plane), { parameters });
}

/** The largest magnitude, or 0 where it is a flat picture's. */
async function maximumOf<C>(
  scope: Scope<C>,
  { clock }: Job,
  magnitudes: Tensor<"float32", C>,
): Promise<number> {
  return await clock.measure("max", magnitudes.size * 4, async () => {
    const largest = await scope.max(magnitudes, { label: "largest magnitude" }).item();
    return largest < flatMagnitude ? 0 : largest;
  });
}

/** 8-bit grays of magnitudes, on the host. */
async function graysOf<C>(
  scope: Scope<C>,
  { clock }: Job,
  magnitudes: Tensor<"float32", C>,
  maximum: number,
): Promise<Uint8Array> {
  const parameters = { scale: maximum === 0 ? 0 : 255 / maximum };
  const grays = await clock.measure("normalise", magnitudes.size * 5, () =>
    scope.map(normalise, [magnitudes], { parameters, label: "edge map" }),
  );
  return await clock.measure("download", grays.size, () => grays.data());
}
