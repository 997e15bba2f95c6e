// `npm test`: sets the project up, then runs every suite on every adapter that this machine has.
//
//   npm test                  everything; the last line is `N passed, N failed[, N skipped]`
//   npm test -- FILTER...     only Vitest, with these arguments (file names, -t NAME, ...)
//
// With MOORAGE_TEST_COUNTS=FILE the counts go to that file as JSON, for a caller that adds them up.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ensureBuilt, ensureInstalled, ensurePeersInstalled, root, runNode } from "../setup.mjs";
import { findAdapters } from "./adapters.mjs";

await ensureInstalled();
// Before the bench is tested: its peers are contestants like the others.
await ensurePeersInstalled();
await ensureBuilt();

const filters = process.argv.slice(2);
const temporary = mkdtempSync(join(tmpdir(), "moorage-test-"));
process.on("exit", () => rmSync(temporary, { recursive: true, force: true }));

const total = { passed: 0, failed: 0, skipped: 0 };
const notRun = [];
/** What a second driver can change. The demo is its kernels, which are under `test/device` too, and one whole job. */
const deviceTests = [
  "test/device",
  "test/regions/device",
  "test/demo/acceptance",
  "test/bench/floor",
  "test/bench/peers",
];

const { adapters, missing } = await findAdapters();
for (const [index, { choice, description }] of adapters.entries()) {
  const isFirst = index === 0;
  const patterns = isFirst || filters.length > 0 ? filters : deviceTests;
  await vitest(description, choice, patterns, !isFirst && filters.length > 0);
}
notRun.push(...missing);

if (filters.length > 0) notRun.push("the browser: a filter was given");
else await playwright();

notRun.push(`platforms other than ${process.platform}-${process.arch}`);
for (const what of notRun) console.log(`not run: ${what}`);
report();

async function vitest(description, choice, patterns, mayBeEmpty = false) {
  console.log(`\nVitest on ${description}${patterns.length > 0 ? `: ${patterns.join(" ")}` : ""}`);
  const results = join(temporary, `vitest-${choice}.json`);
  const cli = join(root, "node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${results}`];
  const empty = mayBeEmpty ? ["--passWithNoTests"] : [];
  const { code } = await runNode([cli, "run", ...reporters, ...empty, ...patterns], {
    env: { MOORAGE_ADAPTER: choice },
  });
  const found = readJson(results);
  count(
    `Vitest on ${choice}`,
    code,
    found && {
      passed: found.numPassedTests,
      // A file that does not load has no failed test, and is a failure all the same.
      failed: found.numFailedTests + found.testResults.filter(isBrokenFile).length,
      skipped: found.numPendingTests + found.numTodoTests,
    },
  );
}

function isBrokenFile({ status, assertionResults }) {
  return status === "failed" && !assertionResults.some((test) => test.status === "failed");
}

async function playwright() {
  const problem = await browserProblem();
  if (problem !== undefined) {
    notRun.push(`the browser: ${problem}`);
    return;
  }
  console.log("\nPlaywright");
  const results = join(temporary, "playwright.json");
  const cli = join(root, "node_modules", "@playwright", "test", "cli.js");
  const { code } = await runNode([cli, "test", "--reporter=line,json"], {
    env: { PLAYWRIGHT_JSON_OUTPUT_FILE: results },
  });
  const found = readJson(results);
  count(
    "Playwright",
    code,
    found && {
      passed: found.stats.expected,
      failed: found.stats.unexpected + found.stats.flaky + found.errors.length,
      skipped: found.stats.skipped,
    },
  );
}

/** npm carries a browser for Linux on x64; elsewhere one that Playwright installed will do. */
async function browserProblem() {
  if (adapters[0].source === "npm-software" || process.env.MOORAGE_BROWSER) return undefined;
  const { chromium } = await import("@playwright/test");
  if (existsSync(chromium.executablePath())) return undefined;
  return "none found; run `npx playwright install chromium`, or set MOORAGE_BROWSER=PATH";
}

/** Adds a runner's results; a runner that failed without saying which test counts as one failure. */
function count(name, code, results) {
  for (const key of Object.keys(total)) total[key] += results?.[key] ?? 0;
  if (results !== undefined && (code === 0 || results.failed > 0)) return;
  console.log(`${name} ended with exit code ${code}${results ? "" : " and without results"}.`);
  total.failed += 1;
}

function report() {
  const { passed, failed, skipped } = total;
  const line = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  const file = process.env.MOORAGE_TEST_COUNTS;
  if (file === undefined) {
    console.log(`\n${line}`);
  } else {
    writeFileSync(file, JSON.stringify(total));
    console.log(`\nTests together: ${line}.`);
  }
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

function readJson(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}
