/**
 * The main job from the command line: `npm start -- IN.png OUT.png [--sigma S] [--budget-mib N]
 * [--json FILE]`. Nothing is written unless everything went well.
 */

import { createRuntime, formatBytes, MoorageError, openAdapter } from "moorage/node";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { CommandError, readCommandLine, usage } from "./command-line.ts";
import type { CommandLine } from "./command-line.ts";
import { requireSigma, runtimeOptionsFor } from "./edge-map.ts";
import { checkOutput, readInput, writeOutput } from "./files.ts";
import { formatJob, jobReport, runTwice } from "./job-report.ts";
import { madeUpPicture } from "./made-up-picture.ts";
import { decodePng, encodeColourPng, encodeGrayPng, PictureError } from "./png.ts";
import type { Picture } from "./png.ts";
import { clearProgress, showProgress } from "./progress.ts";

/** What is to be written where, besides the figures. */
interface Files {
  readonly input: string;
  readonly output: string;
  readonly json: string | undefined;
  /** Whether the input is the job's own making. */
  readonly isOwn: boolean;
}

async function run(args: readonly string[]): Promise<number> {
  const command = readCommandLine(args);
  if (command.help) {
    await print(usage);
    return 0;
  }
  if (command.files !== undefined) return await runOn({ ...command.files, isOwn: false }, command);
  const json = command.json === undefined ? undefined : await checkOutput(command.json, []);
  const folder = await mkdtemp(join(tmpdir(), "moorage-"));
  try {
    const { width, height, samples } = madeUpPicture();
    const input = join(folder, "picture.png");
    await writeOutput(input, encodeColourPng(width, height, samples as Uint8Array));
    return await runOn(
      { input, output: join(folder, "edges.png"), isOwn: true },
      { ...command, json },
    );
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function runOn(
  { input, output, isOwn }: Omit<Files, "json">,
  command: CommandLine,
): Promise<number> {
  const target = await checkOutput(output, [input]);
  const json =
    command.json === undefined ? undefined : await checkOutput(command.json, [input, target]);
  const picture = await readPicture(input);
  requireSigma(command.sigma, picture);
  // Throws where the budget is too small, before a device is opened.
  const options = runtimeOptionsFor(command.budgetBytes, picture, command.sigma);
  return await runJob(picture, { input, output: target, json, isOwn }, command, options);
}

async function readPicture(input: string): Promise<Picture> {
  const bytes = await readInput(input);
  showProgress(`reading ${input}`);
  try {
    return await decodePng(bytes);
  } catch (error) {
    if (error instanceof PictureError) throw new CommandError(`${input}: ${error.message}`);
    throw error;
  }
}

async function runJob(
  picture: Picture,
  files: Files,
  { sigma, budgetBytes }: CommandLine,
  options: ReturnType<typeof runtimeOptionsFor>,
): Promise<number> {
  const interrupt = new Interrupt();
  const { adapter, description } = await openAdapter({ onProgress: showProgress });
  clearProgress();
  const { width, height, colourType, depth } = picture;
  const kind = ["gray", "", "RGB", "palette", "gray and alpha", "", "RGBA"][colourType] ?? "";
  await print(
    `${files.input}: ${width}×${height}, ${kind}, ${depth} bits\nAdapter: ${description}\n`,
  );
  // A loss is told by what waits for the device; the default would tell it again, with a stack.
  const silent = (): void => {};
  let reported: Error | undefined;
  const onError = (error: Error): void => void (reported ??= error);
  const runtime = await createRuntime({ ...options, adapter, onError, onLost: silent });
  try {
    const runs = await runTwice(runtime, picture, {
      sigma,
      ...(budgetBytes !== undefined && { budgetBytes }),
      signal: interrupt.signal,
      onProgress: (done, stage) => showProgress(stage, done),
    });
    clearProgress();
    // What the device complained of may have spoilt the picture, whoever was waiting.
    if (reported !== undefined) throw reported;
    const report = jobReport(runtime, { adapter: description, picture, sigma, runs });
    const strips = report.strips === 1 ? "in one piece" : `in ${report.strips} strips`;
    const budget = budgetBytes === undefined ? "" : `, within ${formatBytes(budgetBytes)}`;
    await print(
      `Sigma ${sigma}, ${strips}${budget}; largest magnitude ${report.maxMagnitude.toPrecision(4)}\n\n` +
        `${formatJob(runtime, report, runs)}\n\n`,
    );
    await writeOutput(files.output, encodeGrayPng(width, height, runs.first.pixels));
    if (files.json !== undefined)
      await writeOutput(files.json, `${JSON.stringify(report, null, 2)}\n`);
    const written = [files.isOwn ? files.input : undefined, files.output, files.json];
    await print(`Wrote ${written.filter((name) => name !== undefined).join(" and ")}\n`);
    return report.memory.leaks === 0 ? 0 : 1;
  } finally {
    clearProgress();
    interrupt.release();
    await runtime.dispose();
  }
}

/** Ctrl-C, as a signal that the job listens to; a second one ends the program at once. */
class Interrupt {
  readonly #controller = new AbortController();
  readonly #abort = (): void => {
    if (this.signal.aborted) process.exit(130);
    this.#controller.abort(new Interrupted());
  };

  constructor() {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, this.#abort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  release(): void {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, this.#abort);
  }
}

class Interrupted extends Error {
  override readonly message = "interrupted; nothing was written";
}

/** One line for people; the exit code says what kind of failure it was. */
function exitCodeOf(error: unknown): number {
  clearProgress();
  const message = error instanceof Error ? error.message : String(error);
  // A stack is for mistakes of this program, not of its user.
  const isExpected =
    error instanceof CommandError || error instanceof MoorageError || error instanceof Interrupted;
  const text = isExpected || !(error instanceof Error) ? message : (error.stack ?? message);
  process.stderr.write(`moorage: ${text}\n`);
  if (error instanceof Interrupted) return 130;
  return error instanceof CommandError ? error.exitCode : 1;
}

/** Resolves when the text has left the process: a pipe may take it later. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
}

// Dawn keeps the process alive until its objects are collected, so say explicitly that it is over.
process.exit(await run(process.argv.slice(2)).catch(exitCodeOf));
