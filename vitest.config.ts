import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const harness = path("test/harness.ts");

/** What holds a time against a time: alone on the machine, after all the rest. */
const timed = ["test/bench/floor.test.ts", "test/device/recording.test.ts"];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^moorage$/, replacement: path("src/index.ts") },
      { find: /^moorage\/node$/, replacement: path("src/node.ts") },
    ],
  },
  test: {
    environment: "node",
    pool: "forks",
    setupFiles: existsSync(harness) ? [harness] : [],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "side by side",
          include: ["test/**/*.test.ts"],
          exclude: [...timed, "**/node_modules/**"],
          // Each has a device of its own, and most of its time is the device's.
          maxWorkers: Math.min(availableParallelism(), 4),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "alone", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
