/** From the samples of entrants, over all repetitions, to the rows of the result. */

import type { BenchCase, CaseSize, Contestant } from "./contract.ts";
import type { Entrant } from "./entrant.ts";
import type { Sitting } from "./measure.ts";
import type { BenchRow, MachineLimits, MemorySeries } from "./results.ts";
import { median, pairedRatios, spread } from "./statistics.ts";

/** One case at one size, with its sittings in each repetition. */
export interface Measured {
  readonly benchCase: BenchCase;
  readonly size: CaseSize;
  readonly repetitions: readonly (readonly Sitting[])[];
}

/** Samples by sitting and round. */
type Series = readonly (readonly (number | undefined)[])[];

export function rowsOf(
  { benchCase, size, repetitions }: Measured,
  contestants: readonly Contestant[],
  limits: MachineLimits,
): BenchRow[] {
  const sittings = repetitions.flat();
  const seriesIn = (chosen: readonly Sitting[], name: string): Series =>
    chosen.map((entrants) => find(entrants, name)?.samples ?? []);
  const seriesOf = (name: string): Series => seriesIn(sittings, name);
  const raw = seriesOf("raw");
  const bestPeer = contestants
    .filter(({ kind }) => kind === "peer")
    .map(({ name }) => seriesOf(name))
    .filter((series) => flat(series).length > 0)
    .toSorted((a, b) => median(flat(a)) - median(flat(b)))[0];
  const work = benchCase.work(size.values);
  return contestants.map((contestant) => {
    const entrants = sittings.flatMap((all) => find(all, contestant.name) ?? []);
    const series = seriesOf(contestant.name);
    const samples = flat(series);
    const failure =
      entrants.find((entrant) => entrant.failure !== null)?.failure ??
      (samples.length === 0 ? "not run: interrupted" : null);
    const ran = failure === null;
    const last = entrants.at(-1);
    const knowsHeap = entrants.some((entrant) => entrant.counted.knowsHeap);
    const middle = ran ? median(samples) : null;
    const perIteration = (count: (entrant: Entrant) => number): number | null => {
      const iterations = entrants.reduce((sum, { counted }) => sum + counted.iterations, 0);
      if (!ran || iterations === 0) return null;
      return entrants.reduce((sum, entrant) => sum + count(entrant), 0) / iterations;
    };
    return {
      suite: benchCase.suite,
      case: benchCase.name,
      size: size.label,
      contestant: contestant.name,
      unit: benchCase.unit ?? "ms",
      median: middle,
      min: ran ? Math.min(...samples) : null,
      max: ran ? Math.max(...samples) : null,
      spread: ran ? spread(samples) : null,
      samples: ran ? samples.length : 0,
      iterations: last?.iterations ?? 0,
      ratioToRaw: ran ? pooledRatio(raw, series) : null,
      ratioToBestPeer: ran && bestPeer !== undefined ? pooledRatio(bestPeer, series) : null,
      ratiosToRaw: ran
        ? repetitions.flatMap((chosen) => {
            const ratio = pooledRatio(seriesIn(chosen, "raw"), seriesIn(chosen, contestant.name));
            return ratio ?? [];
          })
        : [],
      maxError: ran ? Math.max(...entrants.map((entrant) => entrant.maxError ?? 0)) : null,
      failure,
      variant: last?.variant ?? null,
      variants: entrants[0]?.variants ?? [],
      fractionOfLimit:
        middle === null || benchCase.unit === "bytes" ? null : fractionOf(work, middle, limits),
      work,
      peakDeviceBytes: ran ? greatest(entrants, (entrant) => entrant.peakDeviceBytes) : null,
      heldDeviceBytes: ran ? greatest(entrants, (entrant) => entrant.heldDeviceBytes) : null,
      buffersCreated: perIteration(({ counted }) => counted.buffersCreated),
      bindGroupsCreated: perIteration(({ counted }) => counted.bindGroupsCreated),
      pipelinesCreated: perIteration(({ counted }) => counted.pipelinesCreated),
      heapBytes: knowsHeap ? perIteration(({ counted }) => counted.heapBytes) : null,
      collections:
        ran && knowsHeap
          ? entrants.reduce((sum, { counted }) => sum + counted.collections, 0)
          : null,
    };
  });
}

/** The course of live bytes of each contestant, in the last repetition. */
export function memorySeriesOf({ benchCase, size, repetitions }: Measured): MemorySeries[] {
  return (repetitions.at(-1)?.at(-1) ?? [])
    .filter(({ failure, memory }) => failure === null && memory.length > 0)
    .map(({ contestant, memory }) => ({
      case: benchCase.name,
      size: size.label,
      contestant: contestant.name,
      points: memory,
    }));
}

/** The machine's limit for this work over the time that it took. */
export function fractionOf(
  work: BenchRow["work"],
  milliseconds: number,
  limits: MachineLimits,
): number | null {
  const { bytes = 0, flops = 0, hostBytes = 0, transferBytes = 0 } = work;
  // A transfer reads on one side and writes on the other, as a copy on the host does.
  const least = Math.max(
    bytes / limits.deviceCopyBytesPerSecond,
    flops / limits.fmaFlopsPerSecond,
    (hostBytes + 2 * transferBytes) / limits.hostCopyBytesPerSecond,
  );
  return least === 0 ? null : (least * 1000) / milliseconds;
}

function find(entrants: readonly Entrant[], name: string): Entrant | undefined {
  return entrants.find(({ contestant }) => contestant.name === name);
}

function flat(series: Series): number[] {
  return series.flatMap((samples) => samples.filter((sample) => sample !== undefined));
}

/** The median over the pairs of all sittings together. */
function pooledRatio(others: Series, own: Series): number | null {
  const ratios = own.flatMap((samples, sitting) => pairedRatios(others[sitting] ?? [], samples));
  return ratios.length === 0 ? null : median(ratios);
}

function greatest(
  entrants: readonly Entrant[],
  of: (entrant: Entrant) => number | null,
): number | null {
  const values = entrants.map(of).filter((value) => value !== null);
  return values.length === 0 ? null : Math.max(...values);
}
