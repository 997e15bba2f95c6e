/** A project of somebody else's: empty, with the packed package and what a user would add to it. */

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Consumer {
  readonly folder: string;
  /** Writes a file of the project. */
  write(name: string, text: string): void;
  /** Runs a program of the project with Node; the output is both streams together. */
  run(
    args: readonly string[],
    env?: NodeJS.ProcessEnv,
  ): { readonly status: number; readonly output: string };
  remove(): void;
}

/** The path of a program that this repository has installed. */
export function program(name: string): string {
  return join(root, "node_modules", ...name.split("/"));
}

/** Packs the package and installs it, with `webgpu` and the software adapter, into an empty project. */
export function installConsumer(): Consumer {
  const folder = mkdtempSync(join(tmpdir(), "moorage-consumer-"));
  const npm = (args: readonly string[], cwd: string): void => {
    const { status, stderr, stdout } = spawnSync("npm", args, { cwd, encoding: "utf8" });
    if (status !== 0)
      throw new Error(`npm ${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  };
  npm(["pack", "--ignore-scripts", "--pack-destination", folder], root);
  const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz"))!;
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ name: "consumer", private: true, type: "module" }),
  );
  // The peers come from this repository, so that the test needs no network.
  npm(["install", "--offline", "--no-audit", "--no-fund", `./${tarball}`], folder);
  for (const name of ["webgpu", "@sparticuz/chromium"]) {
    const link = join(folder, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(program(name), link, "dir");
  }
  return {
    folder,
    write: (name, text) => writeFileSync(join(folder, name), text),
    run: (args, env = {}) => {
      const { status, stdout, stderr } = spawnSync(process.execPath, args, {
        cwd: folder,
        encoding: "utf8",
        env: { ...process.env, ...env },
        timeout: 60_000,
      });
      return { status: status ?? -1, output: stdout + stderr };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** The options under which a consumer's program is compiled: no types but the platform's. */
export const consumerTsconfig = JSON.stringify({
  compilerOptions: {
    target: "es2022",
    module: "nodenext",
    lib: ["es2025", "esnext.disposable", "dom"],
    types: [],
    strict: true,
    outDir: "out",
  },
  include: ["*.ts"],
});
