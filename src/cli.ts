#!/usr/bin/env node
import { readFileSync } from "node:fs";

import { diagnose, formatDiagnosis } from "./doctor.ts";

const help = `moorage: a tensor memory runtime for WebGPU

Usage: npx moorage COMMAND

Commands:
  doctor       say which GPU adapters this machine offers to Node, and what to do if none

Options:
  --help       show this text
  --version    show the version

Environment:
  MOORAGE_ADAPTER=auto|hardware|system|software|null    which adapter to use (default auto)
`;

/** Runs one command line, and returns its exit code. */
async function run(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === "--help" || command === "-h" || command === "help") return print(help);
  if (command === "--version" || command === "-v") return print(`${version()}\n`);
  if (command === "doctor" && rest.length === 0) {
    const diagnosis = await diagnose();
    await print(`${formatDiagnosis(diagnosis)}\n`);
    return diagnosis.usable ? 0 : 1;
  }
  const what = command === undefined ? "no command given" : `unknown: ${args.join(" ")}`;
  process.stderr.write(`moorage: ${what}. Run \`npx moorage --help\`.\n`);
  return 2;
}

/** Resolves when the text has left the process: a pipe may take it later. */
function print(text: string): Promise<0> {
  return new Promise((resolve) => {
    process.stdout.write(text, () => resolve(0));
  });
}

function version(): string {
  const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

// Dawn keeps the process alive until its objects are collected, so say explicitly that it is over.
process.exit(await run(process.argv.slice(2)));
