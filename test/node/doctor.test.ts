import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { formatDiagnosis } from "../../src/doctor.ts";
import { softwareRunsHere } from "../../src/software-adapter.ts";

// The doctor runs as users run it: the built package, installed in a project of its own.
const root = fileURLToPath(new URL("../..", import.meta.url));
const carrier = "@sparticuz/chromium";
let project: string;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "moorage-doctor-"));
  const installed = join(project, "node_modules/moorage");
  mkdirSync(installed, { recursive: true });
  cpSync(join(root, "dist"), join(installed, "dist"), { recursive: true });
  cpSync(join(root, "package.json"), join(installed, "package.json"));
});

afterEach(() => rmSync(project, { recursive: true, force: true }));

describe("moorage doctor", () => {
  test.runIf(softwareRunsHere)("finds the software adapter that npm carries", () => {
    link("webgpu", carrier);
    const { status, stdout, stderr } = moorage(["doctor"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^Moorage can use WebGPU here\./);
    expect(stdout).toMatch(/ok +npm software adapter +SwiftShader/);
    expect(stdout).toMatch(/ok +Moorage uses +SwiftShader/);
    expect(status).toBe(0);
  });

  test("without `webgpu`, says how to install it", () => {
    const { status, stdout } = moorage(["doctor"]);
    expect(stdout).toMatch(/^Moorage finds no WebGPU adapter here\./);
    expect(stdout).toMatch(/-- +webgpu +not installed/);
    expect(stdout).toMatch(/What to do:\n {2}- npm install webgpu\n/);
    expect(status).toBe(1);
  });

  test.runIf(softwareRunsHere)("without any Vulkan, says which driver or package helps", () => {
    link("webgpu");
    const { status, stdout, stderr } = moorage(["doctor"]);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/-- +Vulkan drivers +none installed/);
    expect(stdout).toMatch(/-- +Moorage uses +nothing; tried: software from npm/);
    expect(stdout).toMatch(/apt install .*mesa-vulkan-drivers/);
    expect(stdout).toMatch(/npm install --save-dev @sparticuz\/chromium@147\.0\.0/);
    expect(status).toBe(1);
  });

  test("says when MOORAGE_ADAPTER is what stands in the way", () => {
    link("webgpu");
    const { status, stdout } = moorage(["doctor"], { MOORAGE_ADAPTER: "cuda" });
    expect(stdout).toMatch(/MOORAGE_ADAPTER is "cuda"/);
    expect(stdout).toMatch(/Unset MOORAGE_ADAPTER/);
    expect(status).toBe(1);
  });

  test("the null backend counts as usable where it is asked for", () => {
    link("webgpu");
    const { status, stdout } = moorage(["doctor"], { MOORAGE_ADAPTER: "null" });
    expect(stdout).toMatch(/Moorage uses +Dawn's null backend.*MOORAGE_ADAPTER=null/);
    expect(status).toBe(0);
  });
});

describe("moorage", () => {
  test("--help and --version", () => {
    expect(moorage(["--help"])).toMatchObject({ status: 0, stderr: "" });
    expect(moorage(["--help"]).stdout).toMatch(/doctor/);
    expect(moorage(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([[["frobnicate"]], [["doctor", "--now"]], [[]]])("%j is not a command", (args) => {
    const { status, stdout, stderr } = moorage(args);
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^moorage: .*npx moorage --help`\.\n$/);
  });
});

test("fixes are shown once, and only where nothing is usable", () => {
  const checks = [
    { name: "a", ok: true, detail: "fine", fix: "not this" },
    { name: "b", ok: false, detail: "bad", fix: "do that" },
    { name: "c", ok: false, detail: "bad too", fix: "do that" },
  ];
  expect(formatDiagnosis({ usable: true, checks })).not.toMatch(/do that/);
  expect(formatDiagnosis({ usable: false, checks }).match(/do that/g)).toHaveLength(1);
  expect(formatDiagnosis({ usable: false, checks })).not.toMatch(/not this/);
});

/** Installs neighbours of the package, of this checkout's own versions. */
function link(...names: readonly string[]): void {
  for (const name of names) {
    const path = join(project, "node_modules", name);
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(join(root, "node_modules", name), path, "junction");
  }
}

/** Runs the built command where no driver of the system is seen. */
function moorage(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const cli = join(project, "node_modules/moorage/dist/cli.js");
  return spawnSync(process.execPath, [cli, ...args], {
    cwd: project,
    encoding: "utf8",
    env: { PATH: process.env["PATH"], VK_ICD_FILENAMES: "/nowhere/icd.json", ...env },
  });
}
