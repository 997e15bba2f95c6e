/** The main job's command line: from words to what is to be done, or an error that says what is wrong. */

import { MiB } from "moorage/node";
import { parseArgs } from "node:util";

export const usage = `Usage: npm start -- [IN.png OUT.png] [options]

Writes the edge map of a picture, computed through managed GPU memory. Without files it makes its
own picture, and says where it put both.

Options:
  --sigma S         how far to blur first, in pixels (default 2)
  --budget-mib N    never have more than N MiB of GPU buffers; the picture is cut into strips
  --json FILE       write the figures of the run as JSON
  --help            show this text

Environment:
  MOORAGE_ADAPTER=auto|hardware|system|software|null    which adapter to use (default auto)
`;

export interface CommandLine {
  /** `undefined`: the job's own picture, in a folder of its own. */
  readonly files: { readonly input: string; readonly output: string } | undefined;
  readonly sigma: number;
  readonly budgetBytes: number | undefined;
  readonly json: string | undefined;
  readonly help: boolean;
}

/** A mistake of the user; `message` is all that there is to say. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Throws a {@link CommandError}: with exit code 2 for words that make no command, else 1. */
export function readCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(withNegativeValues(args));
  const help = values.help === true;
  if (!help && positionals.length !== 0 && positionals.length !== 2) {
    throw usageError(
      positionals.length === 1
        ? `"${positionals[0]}" has no output file beside it; name both, as in IN.png OUT.png`
        : `${positionals.length} files were named; name two, IN.png and OUT.png, or none`,
    );
  }
  const [input, output] = positionals;
  for (const [name, value] of [...Object.entries(values), ["IN.png", input], ["OUT.png", output]])
    if (value === "") throw usageError(`${String(name)} is empty; it needs a value`);
  const sigma = numberOf(values.sigma, 2);
  if (!(sigma > 0)) {
    throw new CommandError(
      `--sigma is "${values.sigma}"; it must be a number above 0, in pixels (2 is usual)`,
    );
  }
  const mib = numberOf(values["budget-mib"], undefined);
  if (mib !== undefined && !(mib > 0 && Number.isFinite(mib))) {
    throw new CommandError(
      `--budget-mib is "${values["budget-mib"]}"; it must be a number of MiB above 0, such as 16`,
    );
  }
  return {
    files: input === undefined || output === undefined ? undefined : { input, output },
    sigma,
    budgetBytes: mib === undefined ? undefined : Math.floor(mib * MiB),
    json: values.json,
    help,
  };
}

const options = {
  sigma: { type: "string" },
  "budget-mib": { type: "string" },
  json: { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

function parse(args: string[]) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Only the first sentence: what follows is advice for other programs.
    throw usageError(message.split(/[.\n]/)[0]!);
  }
}

/** `--sigma -1` means the number, not an option `-1`. */
function withNegativeValues(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const word of args) {
    const last = joined.at(-1);
    if (/^-[\d.I]/.test(word) && last !== undefined && /^--(sigma|budget-mib)$/.test(last))
      joined[joined.length - 1] = `${last}=${word}`;
    else joined.push(word);
  }
  return joined;
}

function numberOf<T>(text: string | undefined, otherwise: T): number | T {
  return text === undefined ? otherwise : Number(text.trim() || Number.NaN);
}

function usageError(message: string): CommandError {
  return new CommandError(`${message}; \`npm start -- --help\` shows how`, 2);
}
