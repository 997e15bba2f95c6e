// `npm run test:long`: the long programs of random operations, a million for each region, and those on Dawn
// on every adapter that this machine has. Each prints its seed; MOORAGE_SEED=n repeats one.

import { join } from "node:path";

import { ensureBuilt, ensureInstalled, root, runNode } from "../setup.mjs";
import { findAdapters } from "./adapters.mjs";

await ensureInstalled();
await ensureBuilt();
const cli = join(root, "node_modules", "vitest", "vitest.mjs");
const onDawn = ["test/regions/device-programs.test.ts", "test/device/streamed.test.ts"];
const simulated = ["test/regions/long.test.ts", "test/regions/pending.test.ts"];

const { adapters, missing } = await findAdapters();
let exitCode = 0;
for (const [index, { choice, description }] of adapters.entries()) {
  console.log(`\nVitest on ${description}`);
  // The simulated device is the same, whatever else there is.
  const files = index === 0 ? [...simulated, ...onDawn] : [...onDawn, "-t", "Dawn|MiB through"];
  const { code } = await runNode([cli, "run", ...files, ...process.argv.slice(2)], {
    env: { MOORAGE_LONG: "1", MOORAGE_ADAPTER: choice },
  });
  exitCode ||= code;
}
for (const what of missing) console.log(`not run: ${what}`);
process.exit(exitCode);
