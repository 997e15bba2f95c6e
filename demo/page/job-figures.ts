/** What a job took, stage by stage, and what it did to the device's buffers. */

import { formatBytes } from "moorage";
import type { RuntimeStats } from "moorage";

import type { StageTiming } from "../edge-map.ts";
import { byId, make, setNumber } from "./element.ts";

/** Fills the table of stages; the bars are shares of the longest one. */
export function showStages(stages: readonly StageTiming[]): void {
  const longest = Math.max(...stages.map(({ ms }) => ms), 1e-6);
  byId("stages", HTMLTableSectionElement).replaceChildren(
    ...stages.map(({ name, ms, bytes }) => {
      const bar = make("span", { class: "time-bar" });
      bar.style.width = `${(ms / longest) * 100}%`;
      return make(
        "tr",
        { "data-stage": name },
        make("th", { scope: "row" }, name),
        make("td", { "aria-hidden": "true" }, bar),
        make("td", {}, make("data", { value: String(ms) }, formatMs(ms))),
        make("td", {}, make("data", { value: String(bytes) }, formatBytes(bytes))),
      );
    }),
  );
  const ms = stages.reduce((sum, stage) => sum + stage.ms, 0);
  byId("stages-total", HTMLTableSectionElement).replaceChildren(
    make(
      "tr",
      {},
      make("th", { scope: "row" }, "together"),
      make("td"),
      make("td", {}, formatMs(ms)),
      make("td"),
    ),
  );
}

/** Milliseconds and tenths, or whole ones, or seconds. */
export function formatMs(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(2)} s`;
  return `${ms >= 100 ? Math.round(ms) : ms.toFixed(1)} ms`;
}

const figures = [
  { id: "created-by-job", name: "buffers created by the last job", read: null },
  { id: "created", name: "created so far", read: (s: RuntimeStats) => s.gpuBuffers.createdCount },
  { id: "live-buffers", name: "live now", read: (s: RuntimeStats) => s.gpuBuffers.liveCount },
  { id: "buffer-bytes", name: "bytes now", read: (s: RuntimeStats) => s.gpuBuffers.liveBytes },
  { id: "buffer-peak", name: "bytes at most", read: (s: RuntimeStats) => s.gpuBuffers.peakBytes },
  {
    id: "bind-groups",
    name: "bind groups created",
    read: (s: RuntimeStats) => s.bindGroupsCreated,
  },
  { id: "dispatches", name: "dispatches", read: (s: RuntimeStats) => s.dispatchCount },
  { id: "submits", name: "submissions", read: (s: RuntimeStats) => s.submitCount },
] as const;

/** The figures of the device, by name. */
export class DeviceFigures {
  readonly #cells = new Map<string, HTMLDataElement>();
  #createdBefore = 0;

  constructor(list: HTMLElement) {
    for (const { id, name } of figures) {
      const cell = make("data", { value: "", id }, "–");
      this.#cells.set(id, cell);
      list.append(make("div", {}, make("dt", {}, name), make("dd", {}, cell)));
    }
  }

  /** Buffers that are created from here on count as the job's. */
  beginJob(stats: RuntimeStats): void {
    this.#createdBefore = stats.gpuBuffers.createdCount;
  }

  endJob(stats: RuntimeStats): void {
    const created = stats.gpuBuffers.createdCount - this.#createdBefore;
    setNumber(this.#cells.get("created-by-job")!, created, String(created));
  }

  show(stats: RuntimeStats): void {
    for (const { id, read } of figures) {
      if (read === null) continue;
      const value = read(stats);
      const text = id.startsWith("buffer-") ? formatBytes(value) : value.toLocaleString("en");
      setNumber(this.#cells.get(id)!, value, text);
    }
  }
}
