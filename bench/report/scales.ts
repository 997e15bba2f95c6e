/** From values to places on an axis, and the few ticks that an axis has room for. */

import { wrap } from "./terminal.ts";
import { formatNumber } from "./units.ts";

export interface Scale {
  at(value: number): number;
  readonly isLog?: boolean;
  readonly ticks: readonly Tick[];
}

export interface Tick {
  readonly at: number;
  /** Its lines, with a line feed between them. */
  readonly label: string;
}

/** What the numbers of an axis are, which is how they are rounded and written. */
export interface AxisForm {
  readonly base: 2 | 10;
  label(value: number): string;
}

/** Numbers whose unit stands in the axis's title. */
export const plainForm: AxisForm = { base: 10, label: (value) => formatTick(value) };

/** From 0 to a round number at or above `most`. */
export function linearScale(
  most: number,
  [start, end]: readonly [number, number],
  form: AxisForm,
  tickCount = 5,
): Scale {
  const step = roundStep((most > 0 ? most : 1) / tickCount, form.base);
  const last = Math.max(1, Math.ceil(most / step - 1e-9));
  const at = (value: number): number => start + ((end - start) * value) / (last * step);
  const ticks = Array.from({ length: last + 1 }, (_, index) => index * step).map((value) => ({
    at: at(value),
    label: form.label(value),
  }));
  return { at, ticks };
}

/** From `least` to `most`, both above 0, with a little room on either side. */
export function logScale(
  [least, most]: readonly [number, number],
  [start, end]: readonly [number, number],
  form: AxisForm,
  tickCount = 5,
): Scale {
  const [low, high] = [Math.log2(least), Math.log2(most)];
  const room = high > low ? 0.06 * (high - low) : 0.5;
  const [from, to] = [low - room, high + room];
  const at = (value: number): number =>
    start + ((end - start) * (Math.log2(value) - from)) / (to - from);
  const round = (form.base === 2 ? powersOfTwo : decades)(2 ** from, 2 ** to, tickCount);
  // Within a very narrow range there may be no round number at all.
  const values = round.length > 1 || low === high ? round : [least, most];
  return {
    at,
    isLog: true,
    ticks: values.map((value) => ({ at: at(value), label: form.label(value) })),
  };
}

/** Evenly spaced names, in up to three short lines each; `at` takes a name's index. */
export function nameScale(
  names: readonly string[],
  [start, end]: readonly [number, number],
): Scale {
  const room = (end - start) / Math.max(1, names.length);
  const at = (index: number): number => start + room * (index + 0.5);
  const longest = Math.max(3, Math.floor(Math.abs(room) / 6.6));
  const ticks = names.map((name, index) => {
    const lines = wrap(name, longest);
    const kept =
      lines.length > 3 ? [...lines.slice(0, 2), shorten(lines.slice(2).join(" "), longest)] : lines;
    return { at: at(index), label: kept.join("\n") };
  });
  return { at, ticks };
}

/** About the width of a text of 12 px; fonts differ, so rather too much than too little. */
export function textWidth(text: string, isBold = false): number {
  return text.length * (isBold ? 8 : 6.6);
}

export function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, Math.max(1, longest - 1))}\u2026`;
}

/** 1, 2 or 5 times a power of ten, or a power of two. */
function roundStep(step: number, base: 2 | 10): number {
  if (base === 2) return 2 ** Math.ceil(Math.log2(step) - 1e-9);
  const power = 10 ** Math.floor(Math.log10(step) + 1e-9);
  return ([1, 2, 5].find((factor) => factor * power >= step * (1 - 1e-9)) ?? 10) * power;
}

function powersOfTwo(least: number, most: number, count: number): number[] {
  const first = Math.ceil(Math.log2(least));
  const last = Math.floor(Math.log2(most));
  const step = Math.max(1, Math.ceil((last - first + 1) / count));
  return exponents(first, last, step).map((exponent) => 2 ** exponent);
}

const fine = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];

/** Powers of ten, and 2 and 5 times them where there are few. */
function decades(least: number, most: number, count: number): number[] {
  const first = Math.floor(Math.log10(least));
  const last = Math.ceil(Math.log10(most));
  const within = (factors: readonly number[], step: number): number[] =>
    exponents(first, last, step)
      .flatMap((exponent) => factors.map((factor) => Number(`${factor}e${exponent}`)))
      .filter((value) => value >= least && value <= most);
  const choices = [
    within(fine, 1),
    within([1, 2, 5], 1),
    within([1, 3], 1),
    within([1], 1),
    within([1], 2),
  ];
  return (
    choices.find((values) => values.length <= count) ??
    within([1], Math.ceil((last - first) / count))
  );
}

function exponents(first: number, last: number, step: number): number[] {
  const all: number[] = [];
  for (let exponent = first; exponent <= last; exponent += step) all.push(exponent);
  return all;
}

/** Ticks are round already: no digits after the last that counts. */
function formatTick(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e6) return String(Number(value.toPrecision(4)));
  return size >= 1e6 ? value.toExponential(0).replace("e+", "e") : formatNumber(value);
}
