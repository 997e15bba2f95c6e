/** Who is sampled when, and when it is enough: on a clock of the test's own. */

import { expect, test } from "vitest";

import type { BenchCase, BenchHost, Contestant } from "../../bench/core/contract.ts";
import type { Entrant } from "../../bench/core/entrant.ts";
import { ratioOf, sampleRounds } from "../../bench/core/rounds.ts";
import type { RoundSettings } from "../../bench/core/rounds.ts";

const settings: RoundSettings = {
  fewestRounds: 5,
  sittingMs: 100,
  peerMs: 30,
  coldMs: 1000,
  precision: 0.01,
};

interface Player {
  readonly entrant: Entrant;
  readonly rounds: number[];
}

/** Plays rounds on a clock that moves by what each sample takes. */
async function play(
  players: Readonly<
    Record<
      string,
      {
        readonly kind: Contestant["kind"];
        readonly ms: number;
        readonly keepsDevice?: boolean;
        readonly failsAt?: number;
      }
    >
  >,
  benchCase: Partial<BenchCase> = {},
): Promise<{ readonly order: string[]; readonly players: Record<string, Player> }> {
  let now = 0;
  const order: string[] = [];
  const host = { now: () => now, isInterrupted: () => false } as unknown as BenchHost;
  const made: Record<string, Player> = {};
  for (const [name, { kind, ms, keepsDevice = false, failsAt }] of Object.entries(players)) {
    const rounds: number[] = [];
    const samples: number[] = [];
    const sample = (round: number): Promise<void> => {
      now += ms;
      order.push(name);
      rounds.push(round);
      samples[round] = ms;
      if (round === failsAt) entrant.failure = "fell";
      return Promise.resolve();
    };
    const entrant = {
      contestant: { name, kind, keepsDevice },
      isReady: true,
      failure: null as string | null,
      samples,
      sample,
      sampleCold: sample,
    };
    made[name] = { entrant: entrant as unknown as Entrant, rounds };
  }
  const entrants = Object.values(made).map(({ entrant }) => entrant);
  await sampleRounds(entrants, benchCase as BenchCase, { host, settings });
  return { order, players: made };
}

test("in turn, the order turning by one each round", async () => {
  const { order } = await play({ a: { kind: "moorage", ms: 10 }, b: { kind: "raw", ms: 10 } });
  expect(order.slice(0, 6)).toEqual(["a", "b", "b", "a", "a", "b"]);
  // A hundred milliseconds for both together, in rounds of twenty.
  expect(order).toHaveLength(10);
});

test("five rounds at least, and three of what is so slow that they take twice the time", async () => {
  const five = await play({ a: { kind: "moorage", ms: 20 }, b: { kind: "raw", ms: 15 } });
  expect(five.order).toHaveLength(10);
  const three = await play({ a: { kind: "moorage", ms: 500 }, b: { kind: "raw", ms: 1 } });
  expect(three.order).toHaveLength(6);
});

test("peers have a share of their own, three rounds at least, and do not go on alone", async () => {
  const { players } = await play({
    own: { kind: "moorage", ms: 5 },
    raw: { kind: "raw", ms: 5 },
    quick: { kind: "peer", ms: 6 },
    slow: { kind: "peer", ms: 400 },
  });
  expect(players["own"]!.rounds).toHaveLength(10);
  expect(players["quick"]!.rounds).toHaveLength(5);
  expect(players["slow"]!.rounds).toEqual([0, 1, 2]);
});

test("one that fails sits out, and the others go on", async () => {
  const { players } = await play({
    own: { kind: "moorage", ms: 10, failsAt: 1 },
    raw: { kind: "raw", ms: 10 },
  });
  expect(players["own"]!.rounds).toEqual([0, 1]);
  expect(players["raw"]!.rounds.length).toBeGreaterThanOrEqual(10);
});

test("bytes are counted once; a device that is kept starts cold once", async () => {
  const bytes = await play(
    { a: { kind: "moorage", ms: 1 }, b: { kind: "raw", ms: 1 } },
    { unit: "bytes" },
  );
  expect(bytes.order).toEqual(["a", "b"]);
  const cold = await play(
    {
      own: { kind: "moorage", ms: 10 },
      raw: { kind: "raw", ms: 5 },
      kept: { kind: "peer", ms: 5, keepsDevice: true },
    },
    { cold: true },
  );
  expect(cold.players["kept"]!.rounds).toEqual([0]);
  // The ratio is the same each time: fifteen starts are enough.
  expect(cold.players["own"]!.rounds).toHaveLength(15);
});

test("a ratio is raw's time over Moorage's; no number where one is missing", async () => {
  const { players } = await play({ own: { kind: "moorage", ms: 10 }, raw: { kind: "raw", ms: 5 } });
  const entrants = Object.values(players).map(({ entrant }) => entrant);
  expect(ratioOf(entrants)).toBe(0.5);
  expect(ratioOf(entrants.slice(1))).toBeNaN();
});
