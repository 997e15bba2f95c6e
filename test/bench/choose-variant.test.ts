/** Of several ways to do a problem, the one that is quickest most of the time, and no memory is left. */

import { expect, test } from "vitest";

import { chooseVariant, TooSlowError } from "../../bench/core/choose-variant.ts";
import { NotSupportedError } from "../../bench/core/contract.ts";
import type { Prepared, Variant } from "../../bench/core/contract.ts";

interface Stage {
  readonly variants: readonly Variant[];
  readonly disposed: string[];
  readonly times: Map<string, number[]>;
}

/** Variants by name, with the times that they take in turn; an error instead is thrown on entering. */
function stage(all: Readonly<Record<string, readonly number[] | Error>>): Stage {
  const disposed: string[] = [];
  const times = new Map<string, number[]>();
  const variants = Object.entries(all).map(([variant, plan]): Variant => async () => {
    if (plan instanceof Error) throw plan;
    times.set(variant, [...plan]);
    return await Promise.resolve({
      variant,
      run: () => Promise.resolve(),
      outputs: () => Promise.resolve([]),
      dispose: () => void disposed.push(variant),
    });
  });
  return { variants, disposed, times };
}

async function choose({ variants, times }: Stage): ReturnType<typeof chooseVariant> {
  return await chooseVariant(variants, {
    enter: async (variant) => await variant(),
    time: (prepared: Prepared) => {
      const left = times.get(prepared.variant!)!;
      const next = left.length > 1 ? left.shift()! : left[0]!;
      return Promise.resolve(next);
    },
  });
}

test("the quickest is kept, with its place and every time; the others are disposed", async () => {
  const play = stage({ slow: [9], quick: [2], middling: [5] });
  const { prepared, index, timings } = await choose(play);
  expect([prepared.variant, index]).toEqual(["quick", 1]);
  expect(timings).toEqual([
    { variant: "slow", milliseconds: 9 },
    { variant: "quick", milliseconds: 2 },
    { variant: "middling", milliseconds: 5 },
  ]);
  expect(play.disposed.toSorted()).toEqual(["middling", "slow"]);
});

test("one that was quick once and slow for the rest is not the quickest", async () => {
  const play = stage({ moody: [1, 8, 8, 8, 8, 8, 8], steady: [5] });
  expect((await choose(play)).prepared.variant).toBe("steady");
});

test("a slow second of the machine decides nothing", async () => {
  const play = stage({ steady: [5], unlucky: [40, 40, 2, 2, 2, 2, 2] });
  expect((await choose(play)).prepared.variant).toBe("unlucky");
});

test("a single one is taken as it is, untimed", async () => {
  const play = stage({ only: [3] });
  const { prepared, index, timings } = await choose(play);
  expect([prepared.variant, index, timings]).toEqual([
    "only",
    0,
    [{ variant: "only", milliseconds: 0 }],
  ]);
});

test("what the adapter cannot run, or takes too long, is passed over", async () => {
  const play = stage({
    absent: new NotSupportedError("no subgroups"),
    endless: new TooSlowError("left out"),
    there: [4],
  });
  const { prepared, index } = await choose(play);
  expect([prepared.variant, index]).toEqual(["there", 2]);
  const none = stage({ absent: new NotSupportedError("no subgroups") });
  await expect(choose(none)).rejects.toThrow("no subgroups");
});

test("a wrong one is a defect, even where another is right; nothing stays", async () => {
  const play = stage({ right: [1], wrong: new Error("differs at 7") });
  await expect(choose(play)).rejects.toThrow("differs at 7");
  expect(play.disposed).toEqual(["right"]);
});

test("a machine that slows down meets both of a match alike", async () => {
  let factor = 1;
  const play = stage({ slow: [3], quick: [2], slower: [4] });
  const { prepared } = await chooseVariant(play.variants, {
    enter: async (variant) => await variant(),
    time: ({ variant }: Prepared) => {
      factor *= 1.05;
      return Promise.resolve(play.times.get(variant!)![0]! * factor);
    },
  });
  expect(prepared.variant).toBe("quick");
  expect(play.disposed).toEqual(["slow", "slower"]);
});
