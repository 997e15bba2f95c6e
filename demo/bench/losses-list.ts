/** Where Moorage loses: what a finished run opens with. */

import type { BenchResult } from "../../bench/core/results.ts";
import { moorageProblemCount, whereWeLose } from "../../bench/report/losses.ts";
import type { Loss } from "../../bench/report/losses.ts";
import { formatRatio } from "../../bench/report/units.ts";
import { make, setText } from "../page/element.ts";

/** `title` gets the count, `list` a sentence for each loss, the most serious first. */
export function showLosses(title: HTMLElement, list: HTMLElement, result: BenchResult): void {
  const count = moorageProblemCount(result);
  const losses = whereWeLose(result);
  const problems = `${count} ${count === 1 ? "problem" : "problems"}`;
  setText(title, `Where we lose: ${losses.length} of ${problems}`);
  if (losses.length > 0) {
    list.replaceChildren(...losses.map(lossItem));
    return;
  }
  const nothing =
    count === 0
      ? "Moorage took no part in this run."
      : "Not behind any peer, nor behind raw by more than 10 %, and nothing is missing.";
  list.replaceChildren(make("li", { class: "nothing" }, nothing));
}

function lossItem({ kind, ratio, row, sentence }: Loss): HTMLLIElement {
  const failed = kind === "not-yet" ? "not yet" : "fails";
  const badge = ratio === null ? failed : `${formatRatio(ratio)}\u00d7`;
  const isGrave = kind !== "behind" || (ratio ?? 1) < 0.9;
  // Every sentence begins with the problem's name.
  const name = `${row.case} ${row.size}`;
  return make(
    "li",
    { "data-kind": kind },
    make("span", { class: isGrave ? "badge grave" : "badge" }, badge),
    make("span", {}, make("b", {}, name), sentence.slice(name.length)),
  );
}
