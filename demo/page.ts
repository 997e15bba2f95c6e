/** The demo page: the main job in a browser, with the memory that it takes in full view. */

import { formatBytes, MiB, MoorageError } from "moorage";

import { edgeMap, runtimeOptionsFor } from "./edge-map.ts";
import type { EdgeMapResult } from "./edge-map.ts";
import { madeUpPicture } from "./made-up-picture.ts";
import { showGray, showPicture } from "./page/canvases.ts";
import { byId, setText } from "./page/element.ts";
import { formatMs, showStages } from "./page/job-figures.ts";
import { Monitor } from "./page/monitor.ts";
import { acceptPictures } from "./page/picture-input.ts";
import { PngClient } from "./page/png-client.ts";
import { hideProblem, showProblem } from "./page/problem.ts";
import { adapterName, Session } from "./page/session.ts";
import type { Picture } from "./png.ts";

/** A picture by name; decoding waits until its turn has come. */
interface Input {
  readonly name: string;
  readonly load: () => Promise<Picture>;
}

interface Done {
  readonly input: Input;
  readonly picture: Picture;
  readonly result: EdgeMapResult;
}

const sigma = byId("sigma", HTMLInputElement);
const budget = byId("budget", HTMLInputElement);
const download = byId("download", HTMLButtonElement);
const leak = byId("leak", HTMLButtonElement);
const working = byId("working", HTMLElement);
const progress = byId("progress", HTMLProgressElement);
const status = byId("status", HTMLElement);
const stage = byId("stage", HTMLElement);
const lamp = document.querySelector<HTMLElement>(".lamp")!;

const pngs = new PngClient();
const monitor = new Monitor((label) => {
  session.dispose(label);
  monitor.poke(session.leaked);
});
const session = new Session({
  onRuntime: (runtime) => {
    monitor.watch(runtime);
    leak.disabled = runtime === null;
    if (runtime !== null) setAdapter("open", `Adapter: ${adapterName(runtime)}`);
  },
  onLost: (error) => {
    setAdapter("lost", "The device is lost");
    showProblem("The device was lost", error.message, () => void reopen());
  },
  onError: (error) => showProblem("The device reported an error", error.message),
  onLeak: (leaks) => {
    const list = leaks.map(({ label, byteLength }) => `“${label}” (${formatBytes(byteLength)})`);
    showProblem("The runtime ended with something never disposed", list.join(", "));
  },
});

const own: Input = { name: "The demo’s own picture", load: () => Promise.resolve(madeUpPicture()) };
let current = own;
let done: Done | null = null;
let jobCount = 0;
let endedCount = 0;
let controller = new AbortController();
let running: Promise<void> = Promise.resolve();

/** Runs the job on a picture; one that is still running is given up first. */
function start(input: Input): void {
  controller.abort();
  controller = new AbortController();
  const { signal } = controller;
  running = running.then(() => work(input, signal));
}

async function work(input: Input, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  hideProblem();
  setBusy(`Working on ${input.name}`, "decode");
  const begun = performance.now();
  try {
    const picture = await input.load();
    if (signal.aborted) return;
    // Only a picture that could be read takes the place of the one before.
    current = { name: input.name, load: () => Promise.resolve(picture) };
    describeSource(input.name, picture);
    const result = await compute(picture, signal);
    if (signal.aborted) return;
    showResult({ input, picture, result });
    const took = formatMs(performance.now() - begun);
    setText(status, `${input.name}: done in ${took}, decoding included.`);
  } catch (error) {
    if (signal.aborted) return;
    setText(status, "Stopped.");
    report(input.name, error);
  } finally {
    // The job that takes the place of this one is not to look idle.
    if (!signal.aborted) setIdle();
  }
}

async function compute(picture: Picture, signal: AbortSignal): Promise<EdgeMapResult> {
  const budgetBytes = budget.value === "" ? undefined : budget.valueAsNumber * MiB;
  const options = runtimeOptionsFor(budgetBytes, picture, sigma.valueAsNumber);
  const runtime = await session.open(options);
  monitor.beginJob(`job ${++jobCount}`);
  try {
    return await edgeMap(runtime, picture, {
      sigma: sigma.valueAsNumber,
      signal,
      ...(budgetBytes !== undefined && { budgetBytes }),
      onProgress: (share, name) => {
        monitor.sample();
        progress.value = share;
        setText(stage, name);
      },
    });
  } finally {
    monitor.endJob();
  }
}

function setBusy(message: string, firstStage: string): void {
  working.dataset["state"] = "busy";
  progress.value = 0;
  setText(status, message);
  setText(stage, firstStage);
}

function setIdle(): void {
  working.dataset["state"] = "idle";
  working.dataset["ended"] = String(++endedCount);
  setText(stage, "");
}

function describeSource(name: string, picture: Picture): void {
  const { width, height, colourType, depth, interlaced } = picture;
  const every = showPicture(byId("source", HTMLCanvasElement), picture);
  const kinds = ["gray", "", "RGB", "palette", "gray and alpha", "", "RGBA"];
  const parts = [`${width} × ${height}`, `${kinds[colourType] ?? ""}, ${depth} bit`];
  if (interlaced) parts.push("interlaced");
  if (every > 1) parts.push(`every ${every}th pixel shown`);
  caption("source-caption", name, parts);
}

function showResult(finished: Done): void {
  const { picture, result } = finished;
  done = finished;
  showGray(byId("result", HTMLCanvasElement), picture, result.pixels);
  caption("result-caption", "Edge map", [
    `largest magnitude ${result.maxMagnitude.toPrecision(3)}`,
    result.strips === 1 ? "in one piece" : `in ${result.strips} strips`,
  ]);
  showStages(result.stages);
  download.disabled = false;
}

function caption(id: string, name: string, parts: readonly string[]): void {
  const strong = document.createElement("strong");
  strong.textContent = name;
  byId(id, HTMLElement).replaceChildren(strong, ` ${parts.join(" · ")}`);
}

function setAdapter(state: "open" | "lost" | "none", text: string): void {
  lamp.dataset["state"] = state;
  setText(byId("adapter", HTMLElement), text);
}

function report(what: string, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof MoorageError) {
    if (error.code === "NO_WEBGPU" || error.code === "NO_ADAPTER") {
      setAdapter("none", "No WebGPU device");
      showProblem("This page cannot reach a GPU", message);
      return;
    }
    // onLost has said it, with a way out.
    if (error.code === "DEVICE_LOST") return;
  }
  showProblem(what, message);
}

async function reopen(): Promise<void> {
  await session.close();
  start(current);
}

async function save({ input, picture, result }: Done): Promise<void> {
  const file = await pngs.encode(picture.width, picture.height, result.pixels);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file], { type: "image/png" }));
  link.download = input === own ? "edges.png" : `${input.name.replace(/\.png$/i, "")}-edges.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

acceptPictures((file) => {
  const load = async (): Promise<Picture> =>
    await pngs.decode(new Uint8Array(await file.arrayBuffer()));
  start({ name: file.name, load });
});
const showSigma = (): void => {
  const pixels = sigma.valueAsNumber.toFixed(1);
  setText(byId("sigma-value", HTMLElement), `${pixels} px`);
  sigma.setAttribute("aria-valuetext", `${pixels} pixels`);
};
sigma.addEventListener("input", showSigma);
sigma.addEventListener("change", () => start(current));
budget.addEventListener("change", () => {
  if (budget.reportValidity()) start(current);
});
byId("controls", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  start(current);
});
byId("own", HTMLButtonElement).addEventListener("click", () => start(own));
leak.addEventListener("click", () => {
  try {
    const label = session.leak();
    if (label !== null) monitor.mark("leak");
  } catch (error) {
    report("The leak did not fit", error);
  }
  monitor.poke(session.leaked);
});
download.addEventListener("click", () => {
  if (done) save(done).catch((error: unknown) => report("The download", error));
});
addEventListener("pagehide", () => {
  controller.abort();
  void session.close();
});
addEventListener("pageshow", (event) => {
  // Back from the browser's cache of pages: the runtime was disposed when the page went.
  if (event.persisted) start(current);
});

showSigma();
start(own);
