/** The bench's command line: from words to what is to be run, or an error that says what is wrong. */

import { parseArgs } from "node:util";

import type { CaseSize, ContestantName } from "../core/contract.ts";
import { suites } from "../core/contract.ts";

export const usage = `Usage: npm run bench -- [options]

Runs every case by Moorage, by hand-written WebGPU ("raw", the floor) and by the peers, in turn, checks
every result against float64, and prints where Moorage loses before anything else.

What to run (a comma between several; names by their beginning):
  --suite NAME         ${suites.join(", ")}
  --case NAME          such as matmul, or "read back"
  --size LABEL         such as 1024x1024
  --contestant NAME    moorage, raw, create-buffer, tensorflow, onnx, jax-eager, jax-jit
  --quick              one or two sizes to a case, Moorage and raw: under two minutes
  --precision PERCENT  sample until the ratio to raw has this standard error, for up to a minute a case
                       (default: what some three seconds a case give)
  --repetitions N      the whole selection N times; ratios are pooled (default 1)
  --seed N             the inputs of an earlier run (default: new ones)
  --adapter KIND       auto, hardware, system or software (default: MOORAGE_ADAPTER, else auto)

What to do with it:
  --json FILE          write every figure
  --html FILE          write a report with plots, in one file that needs no network
  --against FILE       compare with the JSON of an earlier run
  --list               print the cases and sizes, and run nothing
  --write-floor        measure raw against the limits, and write bench/floor.json

Allocation traces, instead of the cases:
  --replay SOURCE      a trace file, the name of a generator, or all
  --write-trace FILE   write the generator's trace as well
`;

export interface BenchCommand {
  readonly suites: readonly string[];
  readonly cases: readonly string[];
  readonly sizes: readonly CaseSize["label"][];
  readonly contestants: readonly ContestantName[];
  readonly quick: boolean;
  readonly repetitionCount: number;
  /** The standard error wanted, as a fraction. */
  readonly precision: number | undefined;
  readonly seed: number;
  readonly adapter: "auto" | "hardware" | "system" | "software" | undefined;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly against: string | undefined;
  readonly list: boolean;
  readonly writeFloor: boolean;
  readonly replay: string | undefined;
  readonly traceFile: string | undefined;
  readonly help: boolean;
}

/** A mistake of the user; `message` is all that there is to say. */
export class CommandError extends Error {
  override readonly name = "CommandError";
}

const contestantNames: readonly ContestantName[] = [
  "moorage",
  "raw",
  "create-buffer",
  "tensorflow",
  "onnx",
  "jax-eager",
  "jax-jit",
];
const adapters = ["auto", "hardware", "system", "software"] as const;

/** @throws CommandError */
export function readCommandLine(args: readonly string[]): BenchCommand {
  const values = parse(args);
  const wanted = list(values.contestant);
  const quick = values.quick === true;
  const { adapter } = values;
  return {
    suites: known("--suite", list(values.suite), suites),
    cases: list(values.case),
    sizes: list(values.size),
    contestants:
      wanted.length === 0
        ? quick
          ? ["moorage", "raw", "create-buffer"]
          : contestantNames
        : contestantNames.filter((name) =>
            known("--contestant", wanted, contestantNames).some((prefix) =>
              name.startsWith(prefix),
            ),
          ),
    quick,
    repetitionCount: positiveInteger("--repetitions", values.repetitions, 1),
    precision: values.precision === undefined ? undefined : percent(values.precision),
    seed: positiveInteger("--seed", values.seed, 1 + Math.floor(Math.random() * 999_999)),
    adapter: adapter === undefined ? undefined : oneOf("--adapter", adapter, adapters),
    json: values.json,
    html: values.html,
    against: values.against,
    list: values.list === true,
    writeFloor: values["write-floor"] === true,
    replay: values.replay,
    traceFile: values["write-trace"],
    help: values.help === true,
  };
}

function parse(args: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        suite: { ...text, multiple: true },
        case: { ...text, multiple: true },
        size: { ...text, multiple: true },
        contestant: { ...text, multiple: true },
        quick: flag,
        precision: text,
        repetitions: text,
        seed: text,
        adapter: text,
        json: text,
        html: text,
        against: text,
        list: flag,
        "write-floor": flag,
        replay: text,
        "write-trace": text,
        help: { ...flag, short: "h" },
      },
    });
    return values;
  } catch (error) {
    throw new CommandError(`${(error as Error).message}\n\n${usage}`);
  }
}

/** A comma separates several, unless it is followed by a space: sizes have such commas in their labels. */
function list(values: readonly string[] | undefined): string[] {
  return (values ?? []).flatMap((value) => value.split(/,(?! )/)).filter((part) => part !== "");
}

function known(option: string, wanted: readonly string[], names: readonly string[]): string[] {
  for (const prefix of wanted) {
    if (names.some((name) => name.startsWith(prefix))) continue;
    throw new CommandError(`${option} "${prefix}" is none of ${names.join(", ")}`);
  }
  return [...wanted];
}

function oneOf<const N extends readonly string[]>(
  option: string,
  value: string,
  names: N,
): N[number] {
  if (names.includes(value)) return value;
  throw new CommandError(`${option} is "${value}"; it can be ${names.join(", ")}`);
}

function positiveInteger(option: string, value: string | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  const number = Number(value);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new CommandError(`${option} is "${value}"; it must be a positive whole number`);
}

function percent(value: string): number {
  const number = Number(value);
  if (number > 0 && number < 100) return number / 100;
  throw new CommandError(`--precision is "${value}"; it must be a percentage above 0`);
}
