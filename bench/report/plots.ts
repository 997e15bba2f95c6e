/**
 * A line plot as SVG: one line to a contestant, its name at the line's end. Colours, dashes and text
 * sizes are in the style sheet. A point without a value is a gap, never a zero.
 */

import { marker } from "./looks.ts";
import { coordinate, escapeHtml } from "./markup.ts";
import { linearScale, logScale, nameScale, shorten, textWidth } from "./scales.ts";
import type { AxisForm, Scale } from "./scales.ts";

/** What an SVG is drawn for; the page scales it a little, and the text stays readable. */
export const plotWidth = 380;

export interface LineSeries {
  readonly name: string;
  readonly slot: number;
  readonly points: readonly Point[];
}

export interface Point {
  /** A value, or on an axis of names the name's index. */
  readonly x: number;
  readonly y: number | null;
  readonly tip: string;
}

export interface Axis {
  /** With the unit of its numbers. */
  readonly title: string;
  readonly form: AxisForm;
  /** In place of numbers. */
  readonly names?: readonly string[];
  readonly isLog?: boolean;
}

export interface LinePlot {
  /** What the plot shows, for those who cannot see it. */
  readonly about: string;
  readonly series: readonly LineSeries[];
  readonly x: Axis;
  readonly y: Axis;
  /** A horizontal line across. */
  readonly limit?: { readonly value: number; readonly label: string };
  /** Each value holds until the next; markers stand on a few points only. */
  readonly isStepped?: boolean;
}

interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const labelGap = 13;
const longestEnd = 14;

export function linePlot(plot: LinePlot): string {
  const values = plot.series.flatMap(({ points }) => points.flatMap(({ y }) => y ?? []));
  const most = Math.max(...values, plot.limit?.value ?? 0);
  const ends = plot.series.map(({ name, slot }) =>
    textWidth(shorten(name, longestEnd), slot === 0),
  );
  if (plot.limit !== undefined) ends.push(textWidth(plot.limit.label));
  const [top, bottom] = [26, 206];
  const y = yScale(plot, values, most, [bottom, top]);
  const frame: Frame = {
    left: 12 + Math.max(0, ...y.ticks.map(({ label }) => textWidth(label))),
    right: plotWidth - 22 - Math.max(0, ...ends),
    top,
    bottom,
  };
  const x = xScale(plot, frame);
  const parts = [axes(plot, frame, x, y)];
  const labels: EndLabel[] = [];
  if (plot.limit !== undefined) {
    const at = y.at(plot.limit.value);
    parts.push(
      `<path class="limit" d="M${coordinate(frame.left)} ${coordinate(at)}H${coordinate(frame.right)}"/>`,
    );
    labels.push({ x: frame.right, y: at, text: plot.limit.label });
  }
  // Moorage last: on top of the others.
  for (const series of plot.series.toSorted((a, b) => b.slot - a.slot)) {
    parts.push(line(series, x, y, plot.isStepped === true));
    const last = series.points.findLast((point) => point.y !== null);
    if (last !== undefined)
      labels.push({
        x: x.at(last.x),
        y: y.at(last.y!),
        text: shorten(series.name, longestEnd),
        slot: series.slot,
      });
  }
  parts.push(endLabelsOf(labels, frame, plot.isStepped === true ? 40 : Number.POSITIVE_INFINITY));
  const tickLines = Math.max(1, ...x.ticks.map(({ label }) => label.split("\n").length));
  return svg(plot.about, bottom + 24 + 16 * tickLines, parts.join(""));
}

/** An SVG that scales with its box, read aloud as `about`. */
export function svg(about: string, tall: number, content: string): string {
  return (
    `<svg class="plot" viewBox="0 0 ${plotWidth} ${coordinate(tall)}" role="img" ` +
    `aria-label="${escapeHtml(about)}">${content}</svg>`
  );
}

function yScale(
  { y, limit }: LinePlot,
  values: readonly number[],
  most: number,
  range: readonly [number, number],
): Scale {
  const positive = [...values, ...(limit === undefined ? [] : [limit.value])].filter((v) => v > 0);
  const least = Math.min(...positive);
  // A line near the bottom of a linear axis cannot be read.
  const isLog =
    y.isLog ??
    (positive.length === values.length + (limit === undefined ? 0 : 1) && most > 12 * least);
  return isLog && positive.length > 0
    ? logScale([least, most], range, y.form)
    : linearScale(most, range, y.form);
}

function xScale({ x, series }: LinePlot, { left, right }: Frame): Scale {
  if (x.names !== undefined) return nameScale(x.names, [left, right]);
  const values = series.flatMap(({ points }) => points.map((point) => point.x));
  const most = Math.max(...values);
  // Names of ticks are wide; four of them fit side by side.
  return x.isLog === true
    ? logScale([Math.min(...values), most], [left, right], x.form, 4)
    : linearScale(most, [left, right], x.form, 4);
}

function axes(plot: LinePlot, frame: Frame, x: Scale, y: Scale): string {
  const { left, right, top, bottom } = frame;
  const grid = y.ticks.map(
    ({ at, label }) =>
      `<path class="grid" d="M${coordinate(left)} ${coordinate(at)}H${coordinate(right)}"/>` +
      `<text class="tick" x="${coordinate(left - 6)}" y="${coordinate(at + 4)}" text-anchor="end">${escapeHtml(label)}</text>`,
  );
  let lowest = bottom;
  const feet = x.ticks.map(({ at, label }) => {
    const lines = label.split("\n").map((text, index) => {
      const baseline = bottom + 17 + 14 * index;
      lowest = Math.max(lowest, baseline);
      return `<text class="tick" x="${coordinate(at)}" y="${baseline}" text-anchor="middle">${escapeHtml(text)}</text>`;
    });
    return `<path class="axis" d="M${coordinate(at)} ${bottom}v4"/>${lines.join("")}`;
  });
  return (
    grid.join("") +
    `<path class="axis" d="M${coordinate(left)} ${bottom}H${coordinate(right)}"/>` +
    feet.join("") +
    `<text class="unit" x="2" y="${top - 13}">${escapeHtml(plot.y.title + (y.isLog === true ? ", logarithmic" : ""))}</text>` +
    `<text class="unit" x="${coordinate((left + right) / 2)}" y="${lowest + 17}" text-anchor="middle">${escapeHtml(plot.x.title)}</text>`
  );
}

function line({ slot, points }: LineSeries, x: Scale, y: Scale, isStepped: boolean): string {
  let path = "";
  let isDown = false;
  const marks: string[] = [];
  // A stepped line has far more points than room for markers; each contestant's stand elsewhere.
  const every = isStepped ? Math.max(1, Math.ceil(points.length / 6)) : 1;
  const offset = isStepped ? Math.floor((every * slot) / shapesInTurn) % every : 0;
  for (const [index, point] of points.entries()) {
    if (point.y === null) {
      isDown = false;
      continue;
    }
    const [px, py] = [x.at(point.x), y.at(point.y)];
    const [cx, cy] = [coordinate(px), coordinate(py)];
    path += isDown ? (isStepped ? `H${cx}V${cy}` : `L${cx} ${cy}`) : `M${cx} ${cy}`;
    isDown = true;
    if (index % every === offset) marks.push(marker(slot, px, py, point.tip));
  }
  return `<path class="l s${slot}${isStepped ? " stepped" : ""}" d="${path}"/>${marks.join("")}`;
}

const shapesInTurn = 8;

interface EndLabel {
  readonly x: number;
  readonly y: number;
  readonly text: string;
  /** A contestant's; none for the limit. */
  readonly slot?: number;
}

/**
 * At the right, each with its marker beside its line's end, moved apart where they would cover each
 * other. A line that ends farther away than `reach` is not led to its label.
 */
function endLabelsOf(
  labels: readonly EndLabel[],
  { right, top, bottom }: Frame,
  reach: number,
): string {
  const sorted = labels.toSorted((a, b) => a.y - b.y);
  const places = spreadOut(
    sorted.map(({ y }) => y),
    [top, bottom],
  );
  return sorted
    .map(({ x, y, text, slot }, index) => {
      const place = places[index]!;
      const name = slot === undefined ? "limit" : `s${slot}`;
      const lead =
        right - x > reach
          ? ""
          : `<path class="lead ${name}" d="M${coordinate(Math.min(x + 6, right))} ${coordinate(y)}L${coordinate(right + 7)} ${coordinate(place)}"/>`;
      const mark = slot === undefined ? "" : marker(slot, right + 13, place);
      return `${lead}${mark}<text class="end ${name}" x="${coordinate(right + 20)}" y="${coordinate(place + 4)}">${escapeHtml(text)}</text>`;
    })
    .join("");
}

/** Ascending places at least a label apart, as near to the wanted ones as the range allows. */
export function spreadOut(
  wanted: readonly number[],
  [first, last]: readonly [number, number],
): number[] {
  const gap = Math.min(labelGap, (last - first) / Math.max(1, wanted.length - 1));
  const places: number[] = [];
  for (const [index, place] of wanted.entries())
    places.push(Math.max(place, index === 0 ? first : places[index - 1]! + gap));
  let ceiling = last;
  for (let index = places.length - 1; index >= 0; index--) {
    places[index] = Math.min(places[index]!, ceiling);
    ceiling = places[index]! - gap;
  }
  return places;
}
