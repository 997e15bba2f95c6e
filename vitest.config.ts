import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const harness = path("test/harness.ts");

export default defineConfig({
  resolve: {
    alias: [
      { find: /^moorage$/, replacement: path("src/index.ts") },
      { find: /^moorage\/node$/, replacement: path("src/node.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
    pool: "forks",
    setupFiles: existsSync(harness) ? [harness] : [],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
