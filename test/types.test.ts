/**
 * Programs that must not compile. Every case in `types/escape-cases` is two files: `.bad.ts`, in which
 * each line below an `// expect-error TSxxxx` fails with that code and nothing else fails, and its twin
 * `.good.ts`, which does the honest thing instead and compiles. TypeScript 7 has no API: `tsc` runs once.
 */

import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const folder = path("types/escape-cases");
const out = path("types/.out");
const compiler = path("../node_modules/typescript/bin/tsc");

/** `line TSxxxx` of each error, by file. */
const errors = new Map<string, string[]>();
const files = await readdir(folder);
const cases = files.filter((file) => file.endsWith(".bad.ts")).map((file) => file.slice(0, -7));

function compile(project: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [compiler, "-p", project, "--pretty", "false"],
      { timeout: 60_000 },
      (error, stdout, stderr) => {
        // 1 and 2 are how it says that there are errors in the program.
        if (error === null || error.code === 1 || error.code === 2) resolve(stdout);
        else reject(new Error(`tsc failed: ${stdout}${stderr}`, { cause: error }));
      },
    );
  });
}

async function expectations(file: string): Promise<string[]> {
  const lines = (await readFile(`${folder}/${file}`, "utf8")).split("\n");
  return lines.flatMap((line, index) => {
    const code = /\/\/ expect-error (TS\d+)/.exec(line)?.[1];
    // 1-based, and the line below the comment.
    return code === undefined ? [] : [`${index + 2} ${code}`];
  });
}

beforeAll(async () => {
  await mkdir(out, { recursive: true });
  const config = {
    extends: "../../../tsconfig.json",
    include: ["../escape-cases/*.ts"],
    exclude: [],
  };
  await writeFile(`${out}/tsconfig.json`, JSON.stringify(config));
  const output = await compile(`${out}/tsconfig.json`);
  for (const line of output.split("\n")) {
    // Indented lines explain the one above.
    if (line === "" || line.startsWith(" ")) continue;
    const [, file, number, code] = /^(.+)\((\d+),\d+\): error (TS\d+):/.exec(line) ?? [];
    if (file === undefined) throw new Error(`not understood: ${line}`);
    const name = basename(file);
    errors.set(name, [...(errors.get(name) ?? []), `${number} ${code}`]);
  }
}, 90_000);

afterAll(() => rm(out, { recursive: true, force: true }));

test("every case has a twin, and every bad one says what it expects", async () => {
  // One of them is of indices; at least thirty are of escapes.
  expect(cases.length).toBeGreaterThan(30);
  expect(files.toSorted()).toEqual(
    cases.flatMap((name) => [`${name}.bad.ts`, `${name}.good.ts`]).toSorted(),
  );
  for (const name of cases) expect(await expectations(`${name}.bad.ts`), name).not.toEqual([]);
});

test("only the cases have errors", () => {
  expect([...errors.keys()].filter((file) => !files.includes(file))).toEqual([]);
});

describe.each(cases)("%s", (name) => {
  test("fails at its line with its code, and nowhere else", async () => {
    expect(errors.get(`${name}.bad.ts`) ?? []).toEqual(await expectations(`${name}.bad.ts`));
  });

  test("compiles when done honestly", () => {
    expect(errors.get(`${name}.good.ts`) ?? []).toEqual([]);
  });
});
