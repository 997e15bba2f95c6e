/** The bench as a page: chooses, runs, and shows what was measured on the visitor's own device. */

import type { BrowserHost } from "../../bench/browser/browser-host.ts";
import { allCases } from "../../bench/cases/index.ts";
import type { BenchResult, BenchRow } from "../../bench/core/results.ts";
import { selectProblems } from "../../bench/core/run-bench.ts";
import type { Progress } from "../../bench/core/run-bench.ts";
import { byProblem } from "../../bench/report/grouping.ts";
import { byId, setText } from "../page/element.ts";
import { hideProblem, showProblem } from "../page/problem.ts";
import { CaseChooser, ContestantChooser } from "./chooser.ts";
import { choices } from "./contestants.ts";
import { saveJson, saveReport } from "./downloads.ts";
import { showLosses } from "./losses-list.ts";
import { parametersOf } from "./parameters.ts";
import { showPlots } from "./plots-view.ts";
import { ResultsView } from "./results-view.ts";
import type { Titles } from "./results-view.ts";
import { showHostFacts, showRunFacts } from "./run-facts.ts";
import { run } from "./run.ts";
import type { Order } from "./run.ts";
import { publish } from "./script-access.ts";

const form = byId("controls", HTMLFormElement);
const choice = byId("choice", HTMLFieldSetElement);
const quick = byId("quick", HTMLInputElement);
const seed = byId("seed", HTMLInputElement);
const repetitions = byId("repetitions", HTMLInputElement);
const runButton = byId("run", HTMLButtonElement);
const stopButton = byId("stop", HTMLButtonElement);
const working = byId("working", HTMLElement);
const bar = byId("progress", HTMLProgressElement);
const status = byId("status", HTMLElement);
const step = byId("step", HTMLElement);
const outcome = byId("outcome", HTMLElement);
const facts = byId("facts", HTMLElement);
const lamp = document.querySelector<HTMLElement>(".lamp")!;

const parameters = parametersOf(location);
const results = new ResultsView(byId("results", HTMLElement));
const cases = new CaseChooser(byId("cases", HTMLElement), allCases, () => describeChoice());
const contestants = new ContestantChooser(byId("contestants", HTMLElement), () => describeChoice());
const titles: Titles = new Map(choices.map(({ name, title }) => [name, title]));

let controller: AbortController | null = null;
let latest: BenchResult | null = null;
/** Whether the page was out of sight at any moment of the run. */
let wasHidden = false;

const reporter = publish(
  () => start(),
  () => stop(),
);

function order(): Order {
  return {
    cases: cases.chosen,
    sizes: parameters.sizes,
    contestants: contestants.chosen,
    quick: quick.checked,
    seed: seed.valueAsNumber,
    repetitionCount: repetitions.valueAsNumber,
  };
}

/** How much is chosen, while nothing has been said of a run. */
function describeChoice(): void {
  const { cases: wanted, sizes, quick: isQuick, contestants: who } = order();
  const count = selectProblems(wanted, { sizes, quick: isQuick }).length;
  const by = who.length;
  runButton.disabled = controller !== null || count === 0 || by === 0;
  const problems = `${count} ${count === 1 ? "problem" : "problems"}`;
  const people = `${by} ${by === 1 ? "contestant" : "contestants"}`;
  setText(byId("chosen", HTMLElement), `${problems}, ${people}`);
}

function start(): void {
  if (controller !== null || !form.reportValidity()) return;
  controller = new AbortController();
  void work(order(), controller.signal);
}

function stop(): void {
  if (controller === null || controller.signal.aborted) return;
  controller.abort();
  stopButton.disabled = true;
  setText(status, "Stopping after the sample under way.");
}

async function work(wanted: Order, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  let host: BrowserHost | undefined;
  begin();
  try {
    const result = await run(wanted, signal, {
      onHost(opened) {
        host = opened;
        setAdapter("open", `Adapter: ${opened.description}`);
        showHostFacts(facts, opened);
      },
      onProgress: (progress) => showProgress(progress, started),
      onRows: (rows) => results.show(rows, titles),
    });
    finish(result, signal.aborted);
    showRunFacts(facts, host!, result);
    reporter.ended(result, signal.aborted);
  } catch (error) {
    if (host === undefined) setAdapter("none", "No WebGPU device");
    setText(status, "The run ended early.");
    showProblem("The bench could not run", messageOf(error));
    reporter.failed(error);
  } finally {
    controller = null;
    choice.disabled = false;
    stopButton.disabled = true;
    working.dataset["state"] = "idle";
    setText(step, "");
    describeChoice();
  }
}

function begin(): void {
  hideProblem();
  reporter.began();
  latest = null;
  wasHidden = document.hidden;
  results.clear();
  outcome.hidden = true;
  byId("plots", HTMLElement).hidden = true;
  byId("machine", HTMLElement).hidden = false;
  choice.disabled = true;
  runButton.disabled = true;
  stopButton.disabled = false;
  working.hidden = false;
  working.dataset["state"] = "busy";
  bar.removeAttribute("value");
  setText(status, "Opening a device.");
}

function showProgress({ done, total, what }: Progress, started: number): void {
  bar.max = Math.max(1, total);
  bar.value = done;
  const seconds = Math.round((performance.now() - started) / 1000);
  if (!stopButton.disabled) setText(status, `${done} of ${total} problems \u00b7 ${seconds} s`);
  setText(step, what);
}

function finish(result: BenchResult, wasStopped: boolean): void {
  latest = result;
  bar.value = bar.max;
  // Once more: the limits were measured again at the end, and the shares of them are known now.
  for (const rows of byProblem(result.cases)) results.show(rows, titles);
  const measured = result.cases.filter(isMeasured).length;
  const failed = result.cases.length - measured;
  const took = `${result.machine.seconds.toFixed(1)} s`;
  const hidden = wasHidden ? " The page was out of sight meanwhile, which browsers slow down." : "";
  setText(
    status,
    `${wasStopped ? "Stopped after" : "Done in"} ${took}: ${measured} rows measured and right, ${failed} without a time.${hidden}`,
  );
  showLosses(byId("losses-title", HTMLElement), byId("losses", HTMLElement), result);
  outcome.hidden = false;
  byId("plots", HTMLElement).hidden = !showPlots(byId("plot-list", HTMLElement), result);
}

function isMeasured({ failure }: BenchRow): boolean {
  return failure === null;
}

function setAdapter(state: "open" | "none", text: string): void {
  lamp.dataset["state"] = state;
  setText(byId("adapter", HTMLElement), text);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
stopButton.addEventListener("click", stop);
quick.form!.addEventListener("change", () => cases.setQuick(quick.checked));
byId("all", HTMLButtonElement).addEventListener("click", () => cases.chooseAll(true));
byId("none", HTMLButtonElement).addEventListener("click", () => cases.chooseAll(false));
byId("save-json", HTMLButtonElement).addEventListener("click", () => {
  if (latest !== null) saveJson(latest);
});
byId("save-report", HTMLButtonElement).addEventListener("click", () => {
  if (latest === null) return;
  saveReport(latest).catch((error: unknown) => showProblem("The report", messageOf(error)));
});
document.addEventListener("visibilitychange", () => {
  wasHidden ||= document.hidden;
});

quick.checked = parameters.quick;
byId("full", HTMLInputElement).checked = !parameters.quick;
seed.valueAsNumber = parameters.seed ?? Math.floor(Math.random() * 1e6);
repetitions.valueAsNumber = parameters.repetitionCount;
contestants.choose(parameters);
cases.choose(parameters);
cases.setQuick(parameters.quick);
if (parameters.startsAtOnce) start();
