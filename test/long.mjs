// `npm run test:long`: the long programs of random operations, a million for each region. Each prints its
// seed; MOORAGE_SEED=n repeats one.

import { join } from "node:path";

import { ensureInstalled, root, runNode } from "../setup.mjs";

await ensureInstalled();
const cli = join(root, "node_modules", "vitest", "vitest.mjs");
const { code } = await runNode(
  [
    cli,
    "run",
    "test/regions/long.test.ts",
    "test/regions/device-programs.test.ts",
    "test/regions/pending.test.ts",
    "test/device/streamed.test.ts",
    ...process.argv.slice(2),
  ],
  {
    env: { MOORAGE_LONG: "1" },
  },
);
process.exit(code);
