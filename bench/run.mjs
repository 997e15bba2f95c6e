// `npm run bench`: sets up what is missing, and runs the bench. What it can do: `npm run bench -- --help`.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { ensurePeersInstalled, ensureBuilt, ensureInstalled } from "../setup.mjs";

// Before any WebAssembly is compiled: a peer's module is some 20 MB, and its optimised code would
// otherwise be made on the cores that are measured, for half a minute.
setFlagsFromString("--no-wasm-tier-up");
setFlagsFromString("--no-wasm-dynamic-tiering");
// Garbage is collected before the samples, not among them.
setFlagsFromString("--expose-gc");
globalThis.gc ??= runInNewContext("gc");

await ensureInstalled();
await ensureBuilt();
const { CommandError, main, readCommandLine } = await import("./.out/main.js");
try {
  const command = readCommandLine(process.argv.slice(2));
  if (command.contestants.some((name) => /^(tensorflow|onnx|jax)/.test(name))) {
    await ensurePeersInstalled();
  }
  process.exit(await main(command));
} catch (error) {
  if (!(error instanceof CommandError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(2);
}
