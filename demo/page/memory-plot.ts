/** A small plot of live bytes, stacked by region, under the line of what is reserved. */

import { formatBytes } from "moorage";

import { regions } from "./regions.ts";
import type { Sample, Timeline } from "./timeline.ts";

const height = 188;
const inset = { left: 62, right: 10, top: 12, bottom: 26 };
const labelPixels = 7;

/** From timeline and bytes to pixels of the drawing. */
interface Scale {
  readonly x: (time: number) => number;
  readonly y: (bytes: number) => number;
}

export class MemoryPlot {
  readonly #timeline: Timeline;
  readonly #svg = shape("svg", { role: "img" });
  #width = 0;

  constructor(place: HTMLElement, timeline: Timeline) {
    this.#timeline = timeline;
    place.append(this.#svg);
    new ResizeObserver(() => {
      this.#width = place.clientWidth;
      this.draw();
    }).observe(place);
  }

  draw(): void {
    const { samples, marks } = this.#timeline;
    const width = this.#width;
    if (width === 0) return;
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.setAttribute("aria-label", describe(samples));

    const highest = samples.reduce((most, { reservedBytes }) => Math.max(most, reservedBytes), 0);
    const step = tickStep(highest);
    const top = Math.max(step, Math.ceil((highest * 1.04) / step) * step);
    const start = samples[0]?.time ?? 0;
    const span = Math.max(200, (samples.at(-1)?.time ?? 0) - start);
    const scale: Scale = {
      x: (time) => inset.left + ((time - start) / span) * (width - inset.left - inset.right),
      y: (bytes) => height - inset.bottom - (bytes / top) * (height - inset.top - inset.bottom),
    };

    const parts: SVGElement[] = [];
    for (let bytes = 0; bytes <= top; bytes += step) {
      const y = scale.y(bytes);
      parts.push(line(inset.left, y, width - inset.right, y, bytes === 0 ? "axis" : "grid"));
      const label = bytes === 0 ? "0" : formatBytes(bytes).replace(".0 ", " ");
      parts.push(text(inset.left - 9, y + 4, label, "end"));
    }
    if (samples.length > 0) {
      // The whole stack first and the lowest layer last: each covers what is not its own.
      for (let layer = regions.length - 1; layer >= 0; layer--) {
        const path = stepPath(samples, scale, (sample) => sumTo(sample.live, layer));
        const base = scale.y(0);
        const d = `${path}V${base}H${scale.x(start)}Z`;
        parts.push(shape("path", { d, class: `area ${regions[layer]!.key}` }));
      }
      const d = stepPath(samples, scale, ({ reservedBytes }) => reservedBytes);
      parts.push(shape("path", { d, class: "reserved-line" }));
    }
    let free = 0;
    for (const { time, label } of marks) {
      const x = scale.x(time);
      parts.push(line(x, inset.top, x, height - inset.bottom, "mark"));
      const room = label.length * labelPixels;
      const left = Math.min(x, width - room);
      if (left < free) continue;
      parts.push(text(left, height - 8, label, "start"));
      free = left + room + 12;
    }
    this.#svg.replaceChildren(...parts);
  }
}

function describe(samples: readonly Sample[]): string {
  const last = samples.at(-1);
  if (last === undefined) return "Memory over time: nothing yet";
  const live = formatBytes(sumTo(last.live, regions.length - 1));
  return `Memory over time: now ${live} live of ${formatBytes(last.reservedBytes)} reserved`;
}

/** The live bytes of the regions up to and with `layer`. */
function sumTo(live: readonly number[], layer: number): number {
  let sum = 0;
  for (let index = 0; index <= layer; index++) sum += live[index]!;
  return sum;
}

/** Levels hold until the next sample. */
function stepPath(
  samples: readonly Sample[],
  { x, y }: Scale,
  value: (sample: Sample) => number,
): string {
  const [first, ...rest] = samples;
  let path = `M${x(first!.time).toFixed(1)} ${y(value(first!)).toFixed(1)}`;
  for (const sample of rest) {
    path += `H${x(sample.time).toFixed(1)}V${y(value(sample)).toFixed(1)}`;
  }
  return path;
}

/** A power of two that gives two to five lines. */
function tickStep(highest: number): number {
  return 2 ** Math.max(12, Math.ceil(Math.log2(Math.max(highest, 1) / 4)));
}

function line(x1: number, y1: number, x2: number, y2: number, name: string): SVGElement {
  return shape("line", {
    x1: String(x1),
    y1: String(y1),
    x2: String(x2),
    y2: String(y2),
    class: name,
  });
}

function text(x: number, y: number, content: string, anchor: "start" | "end"): SVGElement {
  const made = shape("text", { x: String(x), y: String(y), "text-anchor": anchor });
  made.textContent = content;
  return made;
}

function shape(
  tag: keyof SVGElementTagNameMap,
  attributes: Readonly<Record<string, string>>,
): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
