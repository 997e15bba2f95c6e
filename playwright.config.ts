import { defineConfig } from "@playwright/test";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";

import { npmChromium, webgpuFlags } from "./src/npm-chromium.ts";
import { findSoftwarePackage } from "./src/software-adapter.ts";

// Workers read this file again, and must come to the same port.
const port = (process.env["MOORAGE_PAGE_PORT"] ??= String(await freePort()));

const timed = "recording.spec.ts";

export default defineConfig({
  testDir: "test/browser",
  testMatch: "*.spec.ts",
  outputDir: "test-results",
  timeout: 60_000,
  workers: 2,
  fullyParallel: true,
  projects: [
    { name: "side by side", testIgnore: timed },
    // It measures microseconds: alone on the machine, after all the rest.
    { name: "alone", testMatch: timed, dependencies: ["side by side"] },
  ],
  forbidOnly: process.env["CI"] !== undefined,
  reporter: [["line"]],
  use: { baseURL: `http://localhost:${port}`, launchOptions: browser() },
  webServer: {
    command: `node demo/page.mjs --port ${port}`,
    url: `http://127.0.0.1:${port}/`,
    reuseExistingServer: false,
    stdout: "ignore",
    gracefulShutdown: { signal: "SIGTERM", timeout: 2_000 },
  },
});

/** A browser named by MOORAGE_BROWSER, else the one that npm carries, else Playwright's own. */
function browser(): { executablePath?: string; args: string[]; env?: Record<string, string> } {
  const named = process.env["MOORAGE_BROWSER"];
  if (named !== undefined && named !== "") return { executablePath: named, args: [...webgpuFlags] };
  return findSoftwarePackage() === undefined ? { args: [...webgpuFlags] } : npmChromium();
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port: free } = server.address() as AddressInfo;
      server.close(() => resolve(free));
    });
  });
}
