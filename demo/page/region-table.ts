/** The live table of the regions: a row each, with a bar that shows the identity, and their sum. */

import { formatBytes } from "moorage";
import type { Balance, RuntimeStats } from "moorage";

import { make, setNumber } from "./element.ts";
import { regions, terms, together } from "./regions.ts";

/** The parts of `reserved`, left to right in the bar. */
const parts = terms.slice(0, 4);

interface Row {
  readonly bar: readonly HTMLElement[];
  readonly cells: readonly HTMLDataElement[];
}

export class RegionTable {
  readonly #rows: readonly Row[];
  readonly #sum: Row;

  constructor(body: HTMLTableSectionElement) {
    this.#rows = regions.map(({ key, name, hint }) => addRow(body, key, name, hint));
    this.#sum = addRow(body, "together", "Together", "");
  }

  show(stats: RuntimeStats): void {
    for (const [index, { key }] of regions.entries()) {
      const region = stats[key];
      update(this.#rows[index]!, (term) => region[term], region.live.peak);
    }
    update(this.#sum, (term) => together(stats, term), null);
  }
}

/** Roles are spelled out because the narrow layout takes the table's own away. */
function addRow(body: HTMLTableSectionElement, key: string, name: string, hint: string): Row {
  const bar = parts.map((part) => make("span", { class: part.name }));
  const cells = [...terms.map((term) => term.name), "peak live"].map((column) => {
    const data = make("data", { value: "0", "data-column": column });
    return { column, data };
  });
  const head = make(
    "th",
    { role: "rowheader", scope: "row" },
    make("span", { class: "name" }, name),
    make("span", { class: "region-hint" }, hint),
    make("span", { class: "bar", "aria-hidden": "true" }, ...bar),
  );
  const tds = cells.map(({ column, data }) =>
    make("td", { role: "cell", "data-label": column }, data),
  );
  body.append(make("tr", { role: "row", "data-region": key }, head, ...tds));
  return { bar, cells: cells.map(({ data }) => data) };
}

function update(row: Row, read: (term: keyof Balance) => number, peak: number | null): void {
  const reserved = read("reservedBytes");
  for (const [index, { key }] of parts.entries()) {
    const share = reserved === 0 ? 0 : (read(key) / reserved) * 100;
    row.bar[index]!.style.width = `${share}%`;
  }
  for (const [index, cell] of row.cells.entries()) {
    const term = terms[index];
    const bytes = term === undefined ? peak : read(term.key);
    if (bytes === null) continue;
    setNumber(cell, bytes, formatBytes(bytes));
    cell.classList.toggle("zero", bytes === 0);
  }
}
