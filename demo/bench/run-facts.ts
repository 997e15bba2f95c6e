/** What was measured with what: the machine's limits, the browser's clock, the run's numbers. */

import type { BrowserHost } from "../../bench/browser/browser-host.ts";
import type { BenchResult } from "../../bench/core/results.ts";
import {
  formatBytes,
  formatBytesPerSecond,
  formatFlopsPerSecond,
  formatTime,
} from "../../bench/report/units.ts";
import { make } from "../page/element.ts";

type Fact = readonly [name: string, text: string];

/** Known as soon as a run has opened its host. */
export function showHostFacts(place: HTMLElement, host: BrowserHost): void {
  show(place, hostFacts(host));
}

export function showRunFacts(place: HTMLElement, host: BrowserHost, result: BenchResult): void {
  const { limits, machine } = result;
  const repetitions = `${machine.repetitionCount} ${machine.repetitionCount === 1 ? "repetition" : "repetitions"}`;
  show(place, [
    ["Device copy", `${formatBytesPerSecond(limits.deviceCopyBytesPerSecond)}, read + written`],
    ["Multiply-add", formatFlopsPerSecond(limits.fmaFlopsPerSecond)],
    ["Host copy", `${formatBytesPerSecond(limits.hostCopyBytesPerSecond)}, read + written`],
    ...hostFacts(host),
    [
      "Run",
      `${machine.quick ? "quick" : "full"}, seed ${machine.seed}, ${repetitions}, ${machine.seconds.toFixed(0)} s`,
    ],
  ]);
}

function hostFacts(host: BrowserHost): Fact[] {
  const { description, waitingPolicy, clockStepMs } = host;
  const { platform, coreCount, memoryBytes, engine } = host.machine;
  const memory = memoryBytes === 0 ? "" : `, about ${formatBytes(memoryBytes)} of memory`;
  const isolated = crossOriginIsolated ? "" : " (finer in a page that is cross-origin isolated)";
  return [
    ["Adapter", description],
    ["Waiting", waitingPolicy.replace(/^browser: /, "")],
    ["Clock", `steps of ${formatTime(clockStepMs, "\u00b5s")}${isolated}`],
    ["Heap", host.heap() === undefined ? "this browser gives no exact size" : "counted"],
    ["Browser", `${engine.split(", ")[0]!} on ${platform}, ${coreCount} cores${memory}`],
  ];
}

function show(place: HTMLElement, facts: readonly Fact[]): void {
  place.replaceChildren(
    ...facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))),
  );
}
