/** Keeps the memory view up to date: at every frame while something happens, and then not at all. */

import { formatBytes } from "moorage";
import type { LiveAllocation, Runtime } from "moorage";

import { byId, make, setText } from "./element.ts";
import { DeviceFigures } from "./job-figures.ts";
import { MemoryPlot } from "./memory-plot.ts";
import { RegionTable } from "./region-table.ts";
import { Timeline } from "./timeline.ts";

/** Numbers that change faster than this cannot be read. */
const tableMs = 80;
/** So long after the last event, what was deferred has settled. */
const afterglowMs = 600;
const maximumListed = 40;

export class Monitor {
  readonly #timeline = new Timeline();
  readonly #plot = new MemoryPlot(byId("plot", HTMLElement), this.#timeline);
  readonly #table = new RegionTable(byId("regions", HTMLTableSectionElement));
  readonly #figures = new DeviceFigures(byId("figures", HTMLElement));
  readonly #summary = byId("live-summary", HTMLElement);
  readonly #list = byId("live", HTMLElement);
  readonly #onDispose: (label: string) => void;
  #runtime: Runtime | null = null;
  #disposable: ReadonlySet<string> = new Set();
  #listed: string | null = null;
  #isWorking = false;
  #until = 0;
  #tableAt = 0;
  #frame = 0;

  /** `onDispose` is told the label of an allocation whose button was pressed. */
  constructor(onDispose: (label: string) => void) {
    this.#onDispose = onDispose;
  }

  /** Watches this runtime from now on; with `null`, keeps showing the last state. */
  watch(runtime: Runtime | null): void {
    this.#runtime = runtime;
    this.poke();
  }

  beginJob(label: string): void {
    if (this.#runtime === null) return;
    this.mark(label);
    this.#figures.beginJob(this.#runtime.stats());
    this.#isWorking = true;
    this.poke();
  }

  endJob(): void {
    this.sample();
    this.#isWorking = false;
    if (this.#runtime !== null) this.#figures.endJob(this.#runtime.stats());
    this.#show();
    this.poke();
  }

  /** Names this moment in the plot. */
  mark(label: string): void {
    this.#timeline.mark(label, performance.now());
  }

  /** Takes a sample for the plot now. */
  sample(): boolean {
    if (this.#runtime === null || this.#runtime.isDisposed) return false;
    return this.#timeline.add(this.#runtime.stats(), performance.now(), this.#isWorking);
  }

  /** Something happened outside a job: look again for a while. The labelled ones get a button. */
  poke(disposable: ReadonlySet<string> = this.#disposable): void {
    if (disposable !== this.#disposable) this.#listed = null;
    this.#disposable = disposable;
    this.#until = performance.now() + afterglowMs;
    this.#tableAt = 0;
    if (this.#frame === 0) this.#frame = requestAnimationFrame((now) => this.#step(now));
  }

  #step(now: number): void {
    this.#frame = 0;
    if (this.sample()) this.#plot.draw();
    if (now - this.#tableAt >= tableMs) {
      this.#tableAt = now;
      this.#show();
    }
    if (this.#isWorking || now < this.#until) {
      this.#frame = requestAnimationFrame((next) => this.#step(next));
    } else {
      this.#show();
    }
  }

  #show(): void {
    const runtime = this.#runtime;
    if (runtime === null || runtime.isDisposed) return;
    const stats = runtime.stats();
    this.#table.show(stats);
    this.#figures.show(stats);
    this.#showLive(runtime.live());
  }

  #showLive(live: readonly LiveAllocation[]): void {
    const bytes = live.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const count = live.length === 1 ? "1 allocation" : `${live.length} allocations`;
    setText(
      this.#summary,
      live.length === 0 ? "Nothing is allocated." : `${count}, ${formatBytes(bytes)}.`,
    );
    // Rebuilt only where it changed: a button must not go away under the finger.
    const key = live.map(({ label, byteLength }) => `${label} ${byteLength}`).join("\n");
    if (key === this.#listed) return;
    this.#listed = key;
    const rows = live.slice(0, maximumListed).map((allocation) => this.#row(allocation));
    if (live.length > rows.length)
      rows.push(make("li", {}, `and ${live.length - rows.length} more`));
    this.#list.replaceChildren(...rows);
  }

  #row({ label, region, byteLength }: LiveAllocation): HTMLLIElement {
    const row = make(
      "li",
      {},
      make("span", { class: "label" }, label),
      make("span", { class: "where" }, `${formatBytes(byteLength)} in ${region}`),
    );
    if (this.#disposable.has(label)) {
      const button = make("button", { type: "button", class: "quiet" }, "Dispose it");
      button.setAttribute("aria-label", `Dispose ${label}`);
      button.addEventListener("click", () => this.#onDispose(label));
      row.append(button);
    }
    return row;
  }
}
