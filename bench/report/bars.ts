/** Plots with a line of text to each entry: bars of bytes, and speeds beside raw's. */

import { marker } from "./looks.ts";
import { coordinate, escapeHtml } from "./markup.ts";
import { plotWidth, svg } from "./plots.ts";
import { linearScale, logScale, plainForm, shorten, textWidth } from "./scales.ts";
import type { AxisForm, Scale } from "./scales.ts";

export interface BarGroup {
  readonly name: string;
  readonly slot: number;
  /** In place of bars. */
  readonly missing?: string;
  readonly bars: readonly Bar[];
}

export interface Bar {
  readonly value: number;
  /** Behind the bar: what it is, and its value with the unit. */
  readonly label: string;
  readonly look: "solid" | "pale" | "hollow";
}

/** Horizontal bars from 0, in groups. */
export function barPlot(about: string, groups: readonly BarGroup[], form: AxisForm): string {
  const barHeight = 15;
  const groupGap = 9;
  const left =
    10 + Math.max(...groups.map(({ name, slot }) => textWidth(shorten(name, 16), slot === 0)));
  const bars = groups.flatMap((group) => group.bars);
  const right = plotWidth - 10 - Math.max(50, ...bars.map(({ label }) => textWidth(label)));
  const scale = linearScale(Math.max(0, ...bars.map(({ value }) => value)), [left, right], form, 3);
  let top = 4;
  const parts: string[] = [];
  for (const group of groups) {
    const tall = barHeight * Math.max(1, group.bars.length);
    parts.push(
      `<text class="name s${group.slot}" x="${coordinate(left - 7)}" y="${coordinate(top + tall / 2 + 4)}" text-anchor="end">${escapeHtml(shorten(group.name, 16))}</text>`,
    );
    if (group.missing !== undefined)
      parts.push(
        `<text class="tick" x="${coordinate(left + 5)}" y="${coordinate(top + tall / 2 + 4)}">${escapeHtml(shorten(group.missing, 42))}</text>`,
      );
    for (const [index, bar] of group.bars.entries()) {
      const y = top + index * barHeight;
      const end = scale.at(bar.value);
      const width = Math.max(1, end - left);
      parts.push(
        `<rect class="bar ${bar.look} s${group.slot}" x="${coordinate(left + 0.5)}" y="${coordinate(y + 1.5)}" width="${coordinate(width)}" height="${barHeight - 3}"/>` +
          `<text class="tick" x="${coordinate(left + width + 6)}" y="${coordinate(y + barHeight / 2 + 4)}">${escapeHtml(bar.label)}</text>`,
      );
    }
    top += tall + groupGap;
  }
  return svg(about, top + 22, verticals(scale, top) + parts.join(""));
}

const rowHeight = 21;
const longestName = 25;

export interface DotRow {
  readonly name: string;
  readonly dots: readonly { readonly slot: number; readonly value: number; readonly tip: string }[];
}

/** A line to each entry, with a marker for each contestant; the upright line at 1 is raw. */
export function dotPlot(about: string, rows: readonly DotRow[], title: string): string {
  const left = 12 + Math.max(...rows.map(({ name }) => textWidth(shorten(name, longestName))));
  const values = rows.flatMap(({ dots }) => dots.map(({ value }) => value));
  const least = Math.min(0.8, ...values);
  const most = Math.max(1.25, ...values);
  const scale = logScale([least, most], [left, plotWidth - 8], plainForm, 5);
  const bottom = 4 + rows.length * rowHeight;
  const parts = rows.map(({ name, dots }, index) => {
    const y = 4 + (index + 0.5) * rowHeight;
    return (
      `<path class="grid" d="M${coordinate(left)} ${coordinate(y)}H${plotWidth - 2}"/>` +
      `<text class="tick" x="${coordinate(left - 7)}" y="${coordinate(y + 4)}" text-anchor="end">${escapeHtml(shorten(name, longestName))}</text>` +
      apart(dots.map(({ slot, value, tip }) => ({ slot, tip, x: scale.at(value) })))
        .map(({ slot, x, shift, tip }) => marker(slot, x, y + shift, tip))
        .join("")
    );
  });
  const one = coordinate(scale.at(1));
  return svg(
    about,
    bottom + 40,
    verticals(scale, bottom) +
      `<path class="one" d="M${one} 2V${bottom}"/>` +
      parts.join("") +
      `<text class="unit" x="${coordinate((left + plotWidth) / 2)}" y="${bottom + 34}" text-anchor="middle">${escapeHtml(title)}</text>`,
  );
}

interface Dot {
  readonly slot: number;
  readonly tip: string;
  readonly x: number;
}

/** Dots that would cover each other move a little up and down; Moorage comes last, on top. */
function apart(dots: readonly Dot[]): (Dot & { readonly shift: number })[] {
  const placed: (Dot & { readonly shift: number })[] = [];
  for (const dot of dots.toSorted((a, b) => a.x - b.x)) {
    const before = placed.at(-1);
    const isNear = before !== undefined && dot.x - before.x < 8;
    placed.push({ ...dot, shift: !isNear ? 0 : before.shift <= 0 ? before.shift + 5 : -5 });
  }
  return placed.toSorted((a, b) => b.slot - a.slot);
}

function verticals({ ticks }: Scale, bottom: number): string {
  return ticks
    .map(
      ({ at, label }) =>
        `<path class="grid" d="M${coordinate(at)} 2V${bottom}"/>` +
        `<text class="tick" x="${coordinate(at)}" y="${bottom + 16}" text-anchor="middle">${escapeHtml(label)}</text>`,
    )
    .join("");
}
