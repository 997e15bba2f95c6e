/** Text from elsewhere into HTML and SVG. Every label, title and failure goes through here. */

import { printable } from "./terminal.ts";

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Safe as text and within a quoted attribute. */
export function escapeHtml(text: string): string {
  return printable(text).replaceAll(/[&<>"']/g, (sign) => entities[sign]!);
}

/** Coordinates: one decimal is finer than a pixel. */
export function coordinate(value: number): string {
  return String(Math.round(value * 10) / 10);
}
