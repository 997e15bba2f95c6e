/**
 * How each contestant is drawn, everywhere alike: a colour, a marker and a dash, so that they can be
 * told apart without colours too. Colours and dashes are in the style sheet, by slot.
 */

import type { ContestantInfo } from "../core/results.ts";
import { coordinate, escapeHtml } from "./markup.ts";

const slots: readonly string[] = [
  "moorage",
  "raw",
  "create-buffer",
  "tensorflow",
  "onnx",
  "jax-eager",
  "jax-jit",
];

/** One more than the known names: whoever else is in a result. */
export const slotCount = slots.length + 1;

export function slotOf(contestant: string): number {
  const slot = slots.indexOf(contestant);
  return slot < 0 ? slots.length : slot;
}

/** Around the origin, some 8 across; crosses are stroked, the others filled. */
const shapes: readonly string[] = [
  "M-4.4 0a4.4 4.4 0 1 0 8.8 0a4.4 4.4 0 1 0 -8.8 0z",
  "M-3.6 -3.6h7.2v7.2h-7.2z",
  "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5",
  "M0 -4.6L4.4 3.4H-4.4z",
  "M0 -4.9L4.9 0L0 4.9L-4.9 0z",
  "M0 4.6L4.4 -3.4H-4.4z",
  "M-4.4 0H4.4M0 -4.4V4.4",
  "M-4.6 -1.6H4.6V1.6H-4.6z",
];

/** A marker, with a text that browsers show where the pointer rests. */
export function marker(slot: number, x: number, y: number, tip?: string): string {
  const title = tip === undefined ? "" : `<title>${escapeHtml(tip)}</title>`;
  const at = `translate(${coordinate(x)} ${coordinate(y)})`;
  return `<path class="m s${slot}" transform="${at}" d="${shapes[slot]}">${title}</path>`;
}

/** A line and a marker beside each name. */
export function legend(contestants: readonly ContestantInfo[]): string {
  const items = contestants.map(({ name, title }) => {
    const slot = slotOf(name);
    const sample = `<path class="l s${slot}" d="M1 6H35"/>${marker(slot, 18, 6)}`;
    const isSame = title.toLowerCase() === name;
    const rest = isSame ? "" : title.startsWith(`${name} `) ? title.slice(name.length + 1) : title;
    const version = rest === "" ? "" : ` <span class="soft">${escapeHtml(rest)}</span>`;
    return `<li><svg viewBox="0 0 36 12" width="36" height="12" aria-hidden="true">${sample}</svg> ${escapeHtml(name)}${version}</li>`;
  });
  return `<ul class="legend">${items.join("")}</ul>`;
}
