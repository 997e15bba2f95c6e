/**
 * Text for a terminal: aligned columns, wrapped sentences, colours where they are asked for. Text from
 * elsewhere (failures, labels) cannot move the cursor or change the colours.
 */

export type Tone = "strong" | "soft" | "bad" | "good";

export interface TextOptions {
  /** Colours and weights; for a terminal only. Off unless told. */
  readonly color?: boolean;
  /** Columns that a line may take; 100 unless told. */
  readonly width?: number;
}

export interface Column {
  readonly head: string;
  /** At least; a column grows with its cells. */
  readonly width: number;
  readonly side: "left" | "right";
}

export interface Cell {
  readonly text: string;
  readonly tone?: Tone;
}

/** A row of cells, or a first cell with a text that takes the rest of the line, and further lines. */
export type Line = readonly Cell[] | { readonly first: Cell; readonly rest: Cell };

const gap = "  ";

const codes: Readonly<Record<Tone, string>> = { strong: "1", soft: "2", bad: "31", good: "32" };

export function paint(text: string, tone: Tone | undefined, options: TextOptions): string {
  if (options.color !== true || tone === undefined || text === "") return text;
  return `\u001B[${codes[tone]}m${text}\u001B[0m`;
}

/** Control and format characters become spaces: one line, and nothing that a terminal would obey. */
export function printable(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .replaceAll(/ {2,}/g, " ")
    .trim();
}

export function widthOf({ width = 100 }: TextOptions): number {
  return Math.max(40, width);
}

/** The head and the lines, padded; the last column does not trail blanks. */
export function layOut(
  columns: readonly Column[],
  lines: readonly Line[],
  options: TextOptions,
): string[] {
  const widths = columns.map(({ head, width }, index) =>
    lines.reduce(
      (widest, line) => Math.max(widest, cellOf(line, index)?.text.length ?? 0),
      Math.max(width, head.length),
    ),
  );
  const pad = (text: string, index: number): string =>
    columns[index]!.side === "left" ? text.padEnd(widths[index]!) : text.padStart(widths[index]!);
  const join = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, tone }, index) => paint(pad(text, index), tone, options))
      .join(gap)
      .trimEnd();
  const laid = [join(columns.map(({ head }): Cell => ({ text: head, tone: "soft" })))];
  for (const line of lines) {
    if (isCells(line)) {
      laid.push(join(line));
      continue;
    }
    const indent = widths[0]! + gap.length;
    const [start = "", ...more] = wrap(line.rest.text, widthOf(options) - indent);
    laid.push(
      join([line.first]) + padding(line.first, indent) + paint(start, line.rest.tone, options),
    );
    for (const text of more) laid.push(" ".repeat(indent) + paint(text, line.rest.tone, options));
  }
  return laid;
}

/** Breaks at blanks; a word longer than the width is cut. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (let word of printable(text).split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = "";
    }
    while (word.length > width) {
      lines.push(word.slice(0, width));
      word = word.slice(width);
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}

function isCells(line: Line): line is readonly Cell[] {
  return Array.isArray(line);
}

function cellOf(line: Line, index: number): Cell | undefined {
  if (isCells(line)) return line[index];
  return index === 0 ? line.first : undefined;
}

/** What `join` trimmed off a cell that stands alone. */
function padding({ text }: Cell, width: number): string {
  return " ".repeat(Math.max(0, width - text.length));
}
