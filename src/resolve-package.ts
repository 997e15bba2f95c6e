import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** An installed npm package, as Node finds it. */
export interface InstalledPackage {
  readonly name: string;
  readonly version: string;
  /** The folder of its `package.json`, links resolved. */
  readonly folder: string;
  /** The file that importing the package by name would load. */
  readonly entry: string;
}

/**
 * Finds an installed package as Moorage itself sees it, else as the program in the working folder
 * does: a linked or globally installed Moorage has no neighbours of its own.
 *
 * @returns `undefined` where the package is installed in neither place.
 */
export function findPackage(name: string): InstalledPackage | undefined {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    const found = findPackageFrom(name, from);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findPackageFrom(name: string, from: string): InstalledPackage | undefined {
  let entry: string;
  try {
    entry = createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
  // `name/package.json` is not resolvable where a package has `exports`, so walk up from its entry.
  for (let folder = dirname(entry); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = readManifest(join(folder, "package.json"));
    if (manifest?.name === name) {
      return { name, version: manifest.version ?? "0.0.0", folder, entry };
    }
  }
  return undefined;
}

function readManifest(file: string): { name?: string; version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as { name?: string; version?: string };
  } catch {
    return undefined;
  }
}
