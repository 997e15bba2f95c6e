/** The command as a user runs it, on one case: what it prints, writes, refuses, and how it stops. */

import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

import type { BenchResult } from "../../bench/core/results.ts";

const script = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));
const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "moorage-bench-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return await run(process.execPath, [script, ...args]);
}

async function readResult(file: string): Promise<BenchResult> {
  return JSON.parse(await readFile(file, "utf8")) as BenchResult;
}

const few = [
  "--quick",
  "--case",
  "sum along,recording,allocation churn,peak of a chain",
  "--seed",
  "3",
];

test(
  "a run prints where we lose first, and writes figures, plots and a comparison",
  { timeout: 120_000 },
  async () => {
    const [json, html] = [join(folder, "a.json"), join(folder, "a.html")];
    const { stdout, stderr } = await bench(...few, "--json", json, "--html", html);
    // Drivers may have their warnings; progress is for terminals.
    expect(stderr).not.toContain("\r");
    expect(stderr).not.toMatch(/\d+\/\d+ {2}/);
    expect(stdout).toMatch(/^Where we lose|^Nowhere/m);
    const result = await readResult(json);
    expect(result.machine.seed).toBe(3);
    expect(result.wait).toMatch(/^Node: /);
    for (const limit of Object.values(result.limits)) expect(limit).toBeGreaterThan(1e6);
    const keys = result.cases.map((row) => `${row.case} by ${row.contestant}`);
    expect(keys).toEqual([
      "allocation churn by moorage",
      "allocation churn by raw",
      "allocation churn by create-buffer",
      "allocation churn with a fill by moorage",
      "allocation churn with a fill by raw",
      "allocation churn with a fill by create-buffer",
      "recording by moorage",
      "recording by raw",
      "sum along an axis by moorage",
      "sum along an axis by raw",
      "peak of a chain by moorage",
      "peak of a chain by raw",
    ]);
    for (const row of result.cases) {
      if (row.contestant === "create-buffer" && row.failure !== null) continue;
      expect(row.failure, row.case).toBeNull();
      expect(row.median, row.case).toBeGreaterThan(0);
      expect(row.maxError, row.case).not.toBeNull();
      expect(row.heldDeviceBytes, row.case).toBeGreaterThanOrEqual(0);
      if (row.contestant === "raw") expect([row.ratioToRaw, row.heldDeviceBytes]).toEqual([1, 0]);
    }
    expect(result.memoryOverTime?.map(({ contestant }) => contestant)).toEqual(["moorage", "raw"]);
    expect(await readFile(html, "utf8")).toMatch(/<svg/);

    const again = await bench("--quick", "--case", "sum along", "--seed", "3", "--against", json);
    expect(again.stdout).toMatch(/sum along an axis/);
  },
);

test("mistakes are told in a line, with exit code 2", async () => {
  for (const [args, message] of [
    [["--case", "nonsense"], /no case matches/],
    [["--suite", "nonsense"], /--suite "nonsense"/],
    [["--quick", "--against", join(folder, "absent.json")], /cannot be read/],
    [["--replay", "nonsense"], /nonsense/],
  ] as const) {
    const failure = (await bench(...args).catch((error: unknown) => error)) as {
      readonly code: number;
      readonly stderr: string;
    };
    expect(failure.code, args.join(" ")).toBe(2);
    expect(failure.stderr).toMatch(message);
    expect(failure.stderr).not.toMatch(/at .*\.js:\d/);
  }
});

test("the cases are listed without a device", async () => {
  const { stdout } = await bench("--list", "--quick");
  expect(stdout).toMatch(/^kernels +softmax +1024x1024$/m);
  expect(stdout).not.toMatch(/16 Mi/);
});

test.skipIf(process.platform === "win32")(
  "an interrupt ends it with what there is",
  { timeout: 60_000 },
  async () => {
    const json = join(folder, "interrupted.json");
    const child = spawn(process.execPath, [
      script,
      "--quick",
      "--suite",
      "kernels",
      "--json",
      json,
    ]);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    setTimeout(() => child.kill("SIGINT"), 6000);
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(output).toMatch(/Limits and machine/);
    expect((await readResult(json)).cases.length).toBeGreaterThan(0);
  },
);
