/**
 * Samples in turn: round by round, each contestant one sample, the order turning by one each round.
 * What drifts on the machine meets all of them alike, and ratios are taken between samples of one
 * round.
 */

import type { BenchCase, BenchHost, Contestant } from "./contract.ts";
import type { Entrant } from "./entrant.ts";
import { median, medianError, pairedRatios } from "./statistics.ts";

export interface RoundSettings {
  readonly fewestRounds: number;
  /** For the samples of all but the peers, in milliseconds. */
  readonly sittingMs: number;
  /** For the samples of one peer. */
  readonly peerMs: number;
  /** For cold starts, which go on until their ratio has the wanted precision. */
  readonly coldMs: number;
  /** The standard error of the ratio to raw, as a fraction of it, that is enough. */
  readonly precision: number;
}

export interface RoundContext {
  readonly host: BenchHost;
  readonly settings: RoundSettings;
  /** Told before each step, for people who watch. */
  readonly onStep?: (contestant: Contestant, step: string) => void;
}

/** Rounds of what is slow: a median of three is not the first sample. */
const roundsOfTheSlow = 3;

/** Fewer cold starts than this may be of one lucky moment. */
const fewestColdStarts = 15;

/** Cold starts between two looks at the error: sorting takes time too. */
const lookEvery = 5;

export async function sampleRounds(
  entrants: readonly Entrant[],
  benchCase: BenchCase,
  { host, settings, onStep }: RoundContext,
): Promise<void> {
  const isCold = benchCase.cold === true;
  const turns = entrants
    .filter(({ failure, isReady }) => (isCold ? failure === null : isReady))
    .map((entrant): Turn => ({ entrant, spentMs: 0 }));
  for (let round = 0; !isEnough(round, turns, benchCase, settings); round++) {
    for (let place = 0; place < turns.length; place++) {
      await host.breathe?.();
      if (host.isInterrupted()) return;
      const turn = turns[(place + round) % turns.length]!;
      const { entrant } = turn;
      if (sitsOut(turn, round, isCold, settings)) continue;
      onStep?.(entrant.contestant, `${isCold ? "cold start" : "round"} ${round + 1}`);
      const started = host.now();
      await (isCold ? entrant.sampleCold(round) : entrant.sample(round));
      turn.spentMs += host.now() - started;
    }
  }
}

interface Turn {
  readonly entrant: Entrant;
  spentMs: number;
}

/** Moorage and raw: the ratio that has to be known is theirs. */
export function isLead({ contestant }: Entrant): boolean {
  return contestant.kind === "moorage" || contestant.kind === "raw";
}

function sitsOut(turn: Turn, round: number, isCold: boolean, { peerMs }: RoundSettings): boolean {
  const { failure, contestant } = turn.entrant;
  if (failure !== null) return true;
  if (isCold && round > 0 && contestant.keepsDevice === true) return true;
  return !isLead(turn.entrant) && round >= roundsOfTheSlow && turn.spentMs >= peerMs;
}

/** Peers are compared with Moorage in the same rounds: they end with it, or before. */
function isEnough(
  round: number,
  turns: readonly Turn[],
  { unit, cold }: BenchCase,
  settings: RoundSettings,
): boolean {
  const running = turns.filter(({ entrant }) => entrant.failure === null);
  if (running.length === 0) return true;
  if (unit === "bytes") return round === 1;
  const some = running.filter(({ entrant }) => isLead(entrant));
  const leads = some.length > 0 ? some : running;
  const spentMs = leads.reduce((sum, turn) => sum + turn.spentMs, 0);
  const budgetMs = cold === true ? settings.coldMs : settings.sittingMs;
  if (round >= roundsOfTheSlow && spentMs >= 2 * budgetMs) return true;
  if (round < settings.fewestRounds) return false;
  if (spentMs >= budgetMs) return true;
  if (cold !== true || round < fewestColdStarts || round % lookEvery !== 0) return false;
  return errorOf(leads.map(({ entrant }) => entrant)) <= settings.precision;
}

/** Of the ratio to raw; of the samples of whoever knows them least, where there is none. */
function errorOf(entrants: readonly Entrant[]): number {
  const ratios = ratiosOf(entrants);
  if (ratios.length > 0) return medianError(ratios);
  const errors = entrants.map(({ samples }) =>
    medianError(samples.filter((sample) => sample !== undefined)),
  );
  return Math.max(...errors);
}

/** Moorage's ratio to raw in one sitting: not a number where one of them is missing. */
export function ratioOf(entrants: readonly Entrant[]): number {
  const ratios = ratiosOf(entrants);
  return ratios.length === 0 ? Number.NaN : median(ratios);
}

function ratiosOf(entrants: readonly Entrant[]): number[] {
  const find = (wanted: string): Entrant | undefined =>
    entrants.find(({ contestant }) => contestant.kind === wanted);
  const [own, raw] = [find("moorage"), find("raw")];
  return own === undefined || raw === undefined ? [] : pairedRatios(raw.samples, own.samples);
}
