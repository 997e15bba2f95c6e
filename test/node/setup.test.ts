import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

// A checkout in small: the real setup.mjs and compiler, a library of one file, and a stand-in for
// npm that writes down that it was called.
const root = fileURLToPath(new URL("../..", import.meta.url));
let checkout: string;

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "moorage-setup-"));
  cpSync(join(root, "setup.mjs"), join(checkout, "setup.mjs"));
  for (const folder of ["src", "demo", "bench", "node_modules"]) mkdirSync(join(checkout, folder));
  symlinkSync(
    join(root, "node_modules/typescript"),
    join(checkout, "node_modules/typescript"),
    "junction",
  );
  const options = {
    target: "es2022",
    module: "nodenext",
    rootDir: "src",
    outDir: "dist",
    types: [],
  };
  write("tsconfig.json", { compilerOptions: options, include: ["src"] });
  write("tsconfig.build.json", { extends: "./tsconfig.json" });
  write("package.json", { type: "module" });
  lock("1.0.0");
  installed("1.0.0");
  write("src/one.ts", "export const one: number = 1;\n");
  for (const folder of ["demo", "bench"]) {
    write(`${folder}/tsconfig.json`, {
      extends: "../tsconfig.json",
      compilerOptions: { rootDir: ".", outDir: ".out" },
      include: ["*.ts"],
    });
    write(`${folder}/main.ts`, "export {};\n");
  }
  write(
    "npm.cjs",
    `const fs = require("node:fs");
     fs.writeFileSync("npm.pid", String(process.pid));
     fs.appendFileSync("npm.log", process.argv.slice(2).join(" ") + "\\n");
     if (process.env.FAKE_NPM === "fail") { console.error("npm error E404"); process.exit(1); }
     if (process.env.FAKE_NPM === "hang") setInterval(() => {}, 1000);`,
  );
});

afterEach(() => rmSync(checkout, { recursive: true, force: true }));

describe("ensureInstalled", () => {
  test("leaves an installation alone that is what the lockfile says", async () => {
    expect((await setUp()).code).toBe(0);
    expect(read("npm.log")).toBe("");
  });

  test("runs `npm ci` when the lockfile has moved on, once", async () => {
    lock("1.1.0");
    const { code, stderr } = await setUp();
    expect(code).toBe(0);
    expect(read("npm.log")).toBe("ci --no-audit --no-fund\n");
    // In a pipe: one line.
    expect(stderr).toMatch(/^Installing dependencies.*\n$/);

    await setUp();
    expect(read("npm.log")).toBe("ci --no-audit --no-fund\n");
  });

  test("shows what npm said when it fails, and tries again next time", async () => {
    lock("1.1.0");
    const { code, stderr } = await setUp({ FAKE_NPM: "fail" });
    expect(code).toBe(1);
    expect(stderr).toMatch(/npm error E404\nnpm ci failed with exit code 1/);
    expect(stderr).not.toMatch(/at .*setup\.mjs/);

    await setUp();
    expect(read("npm.log")).toBe("ci --no-audit --no-fund\n".repeat(2));
  });

  test("says that npm is missing", async () => {
    lock("1.1.0");
    const { code, stderr } = await setUp({ npm_execpath: undefined, PATH: checkout });
    expect(code).toBe(1);
    expect(stderr).toMatch(/npm was not found/);
  });

  test.skipIf(process.platform === "win32").each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends npm too, with exit code %i", async (signal, expected) => {
    lock("1.1.0");
    const { code } = await setUp({ FAKE_NPM: "hang" }, signal);
    expect(code).toBe(expected);
    const npm = Number(read("npm.pid"));
    await expect.poll(() => isAlive(npm)).toBe(false);
  });
});

describe("ensureBuilt", () => {
  test("compiles what is new, and nothing twice", async () => {
    await setUp();
    expect(read("dist/one.js")).toMatch(/export const one = 1/);

    write("dist/one.js", "untouched");
    await setUp();
    expect(read("dist/one.js")).toBe("untouched");

    write("src/one.ts", "export const one: number = 11;\n");
    await setUp();
    expect(read("dist/one.js")).toMatch(/one = 11/);
  });

  test("removes the output of a source that is gone", async () => {
    write("src/two.ts", "export const two = 2;\n");
    await setUp();
    rmSync(join(checkout, "src/two.ts"));
    await setUp();
    expect(existsSync(join(checkout, "dist/two.js"))).toBe(false);
    expect(existsSync(join(checkout, "dist/one.js"))).toBe(true);
  });

  test("shows the compiler's errors, and compiles again next time", async () => {
    write("src/one.ts", 'export const one: number = "1";\n');
    for (let time = 0; time < 2; time += 1) {
      const { code, stderr } = await setUp();
      expect(code).toBe(1);
      expect(stderr).toMatch(/src\/one\.ts.*TS2322[^]*Compiling src\/ failed/);
    }
  });
});

function write(name: string, content: object | string): void {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  writeFileSync(join(checkout, name), text);
}

function read(name: string): string {
  const path = join(checkout, name);
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

function lock(version: string): void {
  write("package-lock.json", { packages: { "": {}, "node_modules/a": { version } } });
}

function installed(version: string): void {
  write("node_modules/.package-lock.json", { packages: { "node_modules/a": { version } } });
}

interface Outcome {
  readonly code: number | null;
  readonly stderr: string;
}

/** Sets the small checkout up as `npm start` would, and interrupts it while npm hangs where a signal is given. */
function setUp(
  env: Record<string, string | undefined> = {},
  signal?: NodeJS.Signals,
): Promise<Outcome> {
  const script = `
    const { ensureBuilt, ensureInstalled } = await import("./setup.mjs");
    await ensureInstalled(); await ensureBuilt();`;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      cwd: checkout,
      env: { ...process.env, npm_execpath: join(checkout, "npm.cjs"), ...env },
    });
    let stderr = "";
    child.stderr.on("data", (chunk) => (stderr += String(chunk)));
    // npm's stand-in logs as soon as it runs, and is then known to be there to be ended.
    const poll = setInterval(() => {
      if (signal === undefined || read("npm.log") === "") return;
      clearInterval(poll);
      child.kill(signal);
    }, 20);
    child.on("error", reject).on("close", (code) => {
      clearInterval(poll);
      resolve({ code, stderr });
    });
  });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
