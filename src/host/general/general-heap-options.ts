/** How a general heap is set up, with its defaults and what is refused. */

import { isValidAlignment } from "../alignment.ts";
import { InvalidArgumentError } from "../errors.ts";
import type { ProfilingHooks } from "../profiling.ts";
import { GiB, MiB } from "../units.ts";

export interface GeneralHeapOptions {
  /** Names the heap in errors and reports; default `general heap`. */
  readonly label?: string;
  /** All regions together never pass this; one of them is kept for compaction. Default 1 GiB. */
  readonly budgetBytes?: number;
  /** Bytes of a region, a power of two from 16 KiB to 1 GiB; default 4 MiB. */
  readonly regionBytes?: number;
  /** Blocks above this have a region of their own; default a quarter of a region. */
  readonly largeBytes?: number;
  /** Evacuations that a block survives before it is old; default 2. */
  readonly promotionAge?: number;
  /** Full nurseries that are left alone, so that unreachable blocks are found first; default 2. */
  readonly youngRegions?: number;
  /** A region is worth emptying when less than this part of it lives; default 0.5. */
  readonly evacuateBelow?: number;
  /** A slice of a collection aims to end within this; default 2. */
  readonly pauseMs?: number;
  /** The most that a slice moves; default 4 MiB. */
  readonly sliceBytes?: number;
  /**
   * What is reserved ahead when the heap has to grow: a fraction of what is reserved, or a function that
   * gives bytes. It is rounded down to whole regions, and bounded by budget and cache. Default 1/8.
   */
  readonly growth?: number | GrowthPolicy;
  /** Empty regions beyond this go back to the engine; default 64 MiB. */
  readonly cacheBytes?: number;
  /** Fractions of the budget at which listeners are told; default 0.75 and 0.9. */
  readonly watermarks?: { readonly high: number; readonly critical: number };
  readonly hooks?: ProfilingHooks;
  /** Told once where critical pressure is reported and nobody frees; default: a warning on the console. */
  readonly onIgnoredPressure?: (message: string) => void;
  /** Milliseconds; default `performance.now`. */
  readonly now?: () => number;
  /** @internal Who tells of unreachable handles: the engine, or a test. */
  readonly finalizers?: (reclaim: (held: number) => void) => Finalizers;
}

/** A heap that has to grow. */
export interface GrowthState {
  /** Before it grows. */
  readonly reservedBytes: number;
  readonly liveBytes: number;
  readonly budgetBytes: number;
  readonly regionBytes: number;
}

/** Bytes to reserve beyond the region that is needed now: 0 or more. What it throws, the allocation throws. */
export type GrowthPolicy = (state: GrowthState) => number;

/** The part of `FinalizationRegistry` that a heap uses. */
export interface Finalizers {
  register(target: object, held: number, token: object): void;
  unregister(token: object): void;
}

type Settings = Omit<Required<GeneralHeapOptions>, "hooks"> & {
  readonly hooks: ProfilingHooks | null;
};

/** @internal Throws `INVALID_ARGUMENT` for what cannot be right. */
export function settingsOf(options: GeneralHeapOptions): Settings {
  const regionBytes = options.regionBytes ?? 4 * MiB;
  const settings: Settings = {
    label: options.label ?? "general heap",
    budgetBytes: options.budgetBytes ?? GiB,
    regionBytes,
    largeBytes: options.largeBytes ?? regionBytes / 4,
    promotionAge: options.promotionAge ?? 2,
    youngRegions: options.youngRegions ?? 2,
    evacuateBelow: options.evacuateBelow ?? 0.5,
    pauseMs: options.pauseMs ?? 2,
    sliceBytes: options.sliceBytes ?? 4 * MiB,
    growth: options.growth ?? 1 / 8,
    cacheBytes: options.cacheBytes ?? 64 * MiB,
    watermarks: options.watermarks ?? { high: 0.75, critical: 0.9 },
    hooks: options.hooks ?? null,
    onIgnoredPressure: options.onIgnoredPressure ?? ((message) => console.warn(message)),
    now: options.now ?? (() => performance.now()),
    finalizers: options.finalizers ?? ((reclaim) => new FinalizationRegistry(reclaim)),
  };
  const { watermarks } = settings;
  const isPowerOfTwo = isValidAlignment(regionBytes);
  require("regionBytes", regionBytes, isPowerOfTwo && regionBytes >= 2 ** 14 && regionBytes <= GiB);
  require("budgetBytes", settings.budgetBytes, settings.budgetBytes >= 2 * regionBytes);
  require("largeBytes", settings.largeBytes, settings.largeBytes > 0 &&
    settings.largeBytes <= regionBytes);
  require("promotionAge", settings.promotionAge, settings.promotionAge >= 1);
  require("youngRegions", settings.youngRegions, settings.youngRegions >= 0);
  require("evacuateBelow", settings.evacuateBelow, isFraction(settings.evacuateBelow));
  require("pauseMs", settings.pauseMs, settings.pauseMs > 0);
  require("sliceBytes", settings.sliceBytes, settings.sliceBytes > 0);
  const { growth } = settings;
  if (typeof growth !== "function") require("growth", growth, growth >= 0);
  require("cacheBytes", settings.cacheBytes, settings.cacheBytes >= 0);
  require("watermarks.high", watermarks.high, isFraction(watermarks.high));
  require("watermarks.critical", watermarks.critical, isFraction(watermarks.critical) &&
    watermarks.critical >= watermarks.high);
  return settings;
}

function isFraction(value: number): boolean {
  return value > 0 && value <= 1;
}

/** @internal Throws `INVALID_ARGUMENT` unless a setting, or what a function of the user's gave, can be right. */
export function require(name: string, value: number, isRight: boolean): void {
  if (isRight) return;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `${name} of the general heap is ${value}; see GeneralHeapOptions for its range (a budget holds two regions at least)`,
  );
}
