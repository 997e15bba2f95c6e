// `npm run test:mutation`: changes every file that implements a region in one place at a time, and looks
// whether a test notices. About an hour; `-- --mutate FILE` takes one file. Needs at least 85 % noticed;
// test/mutation/README.md says what was not, and why.

import { join } from "node:path";

import { ensureInstalled, ensureMutationInstalled, root, runNode } from "../setup.mjs";

await ensureInstalled();
await ensureMutationInstalled();
const folder = join(root, "test", "mutation");
const cli = join(folder, "node_modules", "@stryker-mutator", "core", "bin", "stryker.js");
const { code } = await runNode([
  cli,
  "run",
  join(folder, "stryker.config.json"),
  ...process.argv.slice(2),
]);
process.exit(code);
