/** The report's plots in the page: drawn by the report, in its own colours, behind a shadow root. */

import type { BenchResult } from "../../bench/core/results.ts";
import { suitePlots } from "../../bench/report/charts.ts";
import { bySuite } from "../../bench/report/grouping.ts";
import { legend } from "../../bench/report/looks.ts";
import { escapeHtml } from "../../bench/report/markup.ts";
import { styleSheet } from "../../bench/report/style.ts";

/** What the page's own style sheets cannot reach, and the report's has no rule for. */
const additions = `
:host{display:block}
section:first-of-type{padding-top:.5rem}
section h3{margin-top:0}`;

/** Shows the plots of every suite that has some; says whether there is one. */
export function showPlots(place: HTMLElement, result: BenchResult): boolean {
  const sections = bySuite(result.cases).flatMap((rows) => {
    const plots = suitePlots(rows, result);
    if (plots.length === 0) return [];
    const title = `<h3>${escapeHtml(rows[0]!.suite)}</h3>`;
    return [`<section>${title}<div class="plots">${plots.join("")}</div></section>`];
  });
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  // Within a shadow tree the root of its rules is the host.
  const sheet = styleSheet.replaceAll(":root", ":host") + additions;
  // The report escapes every name and failure; nothing here comes from elsewhere.
  root.innerHTML = `<style>${sheet}</style>${legend(result.contestants)}${sections.join("")}`;
  return sections.length > 0;
}
