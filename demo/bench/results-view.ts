/** The rows of a run: a table for each suite, a group of rows for each case and size. */

import type { ContestantName } from "../../bench/core/contract.ts";
import { rowKey } from "../../bench/core/results.ts";
import type { BenchRow } from "../../bench/core/results.ts";
import { formatMeasure, formatRate, rateKindOf, rateOf } from "../../bench/report/rates.ts";
import { formatBytes, formatCount, formatPercent, formatRatio } from "../../bench/report/units.ts";
import { make } from "../page/element.ts";

interface Column {
  readonly head: string;
  readonly hint: string;
  /** Its text, and the number behind it; null is shown as a dash. */
  readonly cell: (row: BenchRow) => readonly [text: string, value: number] | null;
  /** Set back: what is looked up rather than compared. */
  readonly isSoft?: boolean;
}

const micro = "\u00b5s";

const columns: readonly Column[] = [
  {
    head: "Median",
    hint: "of one iteration, over all samples",
    cell: (row) => known(row.median, (value) => formatMeasure(value, row.unit, micro)),
  },
  {
    head: "Spread",
    hint: "half the distance between the quartiles, over the median",
    cell: (row) => known(row.spread, (value) => `\u00b1 ${formatPercent(value)}`),
    isSoft: true,
  },
  {
    head: "\u00d7 raw",
    hint: "speed over that of hand-written WebGPU, pair by pair",
    cell: (row) => known(row.ratioToRaw, formatRatio),
  },
  {
    head: "\u00d7 best peer",
    hint: "speed over that of the fastest peer, pair by pair",
    cell: (row) => known(row.ratioToBestPeer, formatRatio),
  },
  {
    head: "Rate",
    hint: "the case's work over the median",
    cell: (row) => {
      const kind = rateKindOf([row]);
      if (kind === "time" || kind === "memory") return null;
      return known(rateOf(row, kind), (value) => formatRate(value, kind, micro));
    },
  },
  {
    head: "Of limit",
    hint: "of the machine's limit for this work, measured in the same run",
    cell: (row) => known(row.fractionOfLimit, formatPercent),
  },
  {
    head: "Peak",
    hint: "the most bytes of live GPU buffers",
    cell: (row) => known(row.peakDeviceBytes, formatBytes),
  },
  {
    head: "Held",
    hint: "bytes of GPU buffers still live after everything was disposed",
    cell: (row) => known(row.heldDeviceBytes, formatBytes),
  },
  {
    head: "Buffers",
    hint: "GPU buffers created per iteration",
    cell: (row) => known(row.buffersCreated, formatCount),
    isSoft: true,
  },
  {
    head: "Groups",
    hint: "bind groups created per iteration",
    cell: (row) => known(row.bindGroupsCreated, formatCount),
    isSoft: true,
  },
  {
    head: "Error",
    hint: "largest deviation from float64, relative above 1",
    cell: (row) => known(row.maxError, (value) => (value === 0 ? "0" : value.toExponential(1))),
    isSoft: true,
  },
];

/** What the page calls the contestants. */
export type Titles = ReadonlyMap<ContestantName, string>;

export class ResultsView {
  readonly #place: HTMLElement;
  readonly #tables = new Map<string, HTMLTableElement>();
  readonly #groups = new Map<string, HTMLTableSectionElement>();

  constructor(place: HTMLElement) {
    this.#place = place;
  }

  clear(): void {
    this.#tables.clear();
    this.#groups.clear();
    this.#place.replaceChildren();
  }

  /** Shows the rows of one problem, in place of those that it has. */
  show(rows: readonly BenchRow[], titles: Titles): void {
    const [first] = rows;
    if (first === undefined) return;
    const key = rowKey(first);
    const made = problemGroup(first, rows, titles);
    const before = this.#groups.get(key);
    if (before === undefined) this.#tableOf(first.suite).append(made);
    else before.replaceWith(made);
    this.#groups.set(key, made);
  }

  #tableOf(suite: string): HTMLTableElement {
    const shown = this.#tables.get(suite);
    if (shown !== undefined) return shown;
    const heads = columns.map(({ head, hint }) =>
      make("th", { scope: "col", title: hint, role: "columnheader" }, head),
    );
    const first = make("th", { scope: "col", role: "columnheader" }, "Contestant");
    const head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, first, ...heads));
    // The roles are kept by hand: on narrow screens these are no longer laid out as tables.
    const table = make("table", { class: "results", role: "table", "aria-label": suite }, head);
    const id = `suite-${suite}`;
    this.#place.append(
      make(
        "section",
        { class: "sheet", "aria-labelledby": id, "data-suite": suite },
        make("h2", { id }, suite),
        table,
      ),
    );
    this.#tables.set(suite, table);
    return table;
  }
}

function problemGroup(
  first: BenchRow,
  rows: readonly BenchRow[],
  titles: Titles,
): HTMLTableSectionElement {
  const slowest = Math.max(...rows.map(({ median }) => median ?? 0));
  const name = make("th", { colspan: String(columns.length + 1), scope: "rowgroup" });
  name.append(make("span", { class: "case-name" }, first.case), " ", first.size);
  return make(
    "tbody",
    { role: "rowgroup", "data-problem": rowKey(first) },
    make("tr", { role: "row", class: "problem-name" }, name),
    ...rows.map((row) => contestantRow(row, titles, slowest)),
  );
}

function contestantRow(row: BenchRow, titles: Titles, slowest: number): HTMLTableRowElement {
  const name = make(
    "th",
    { scope: "row", role: "rowheader" },
    make("span", { class: "dot", "data-contestant": row.contestant }),
    titles.get(row.contestant) ?? row.contestant,
  );
  const made = make("tr", { role: "row", "data-contestant": row.contestant }, name);
  if (row.failure !== null) {
    made.dataset["failed"] = "";
    made.append(
      make("td", { role: "cell", colspan: String(columns.length), class: "failure" }, row.failure),
    );
    return made;
  }
  if (row.variant !== null) name.append(make("span", { class: "variant" }, row.variant));
  for (const { head, cell, isSoft } of columns) {
    const shown = cell(row);
    const place = make("td", { role: "cell", "data-label": head });
    if (shown === null) place.append(make("span", { class: "none" }, "\u2013"));
    else place.append(make("data", { value: String(shown[1]) }, shown[0]));
    if (isSoft === true) place.classList.add("soft");
    if (head === "Median") place.append(bar((row.median ?? 0) / Math.max(slowest, 1e-12)));
    made.append(place);
  }
  return made;
}

/** The time as a share of the problem's longest. */
function bar(share: number): HTMLElement {
  const made = make("span", { class: "share", "aria-hidden": "true" });
  made.style.setProperty("--share", `${(share * 100).toFixed(1)}%`);
  return made;
}

function known(
  value: number | null,
  format: (value: number) => string,
): readonly [string, number] | null {
  return value === null ? null : [format(value), value];
}
