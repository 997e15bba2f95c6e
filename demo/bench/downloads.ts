/** The result as files. */

import type { BenchResult } from "../../bench/core/results.ts";

export function saveJson(result: BenchResult): void {
  save(`${nameOf(result)}.json`, `${JSON.stringify(result, null, 1)}\n`, "application/json");
}

/** The report is a page of its own, and only loaded where somebody wants it. */
export async function saveReport(result: BenchResult): Promise<void> {
  const { renderHtml } = await import("../../bench/report/html.ts");
  save(`${nameOf(result)}.html`, renderHtml(result), "text/html");
}

/** `moorage-bench-2026-11-20-1405` */
function nameOf({ machine }: BenchResult): string {
  return `moorage-bench-${machine.date.slice(0, 16).replace("T", "-").replace(":", "")}`;
}

function save(name: string, content: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
