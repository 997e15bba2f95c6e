import { randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { basename, dirname, join, normalize } from "node:path";
import { brotliDecompressSync } from "node:zlib";

import type { InstalledPackage } from "./resolve-package.ts";

/**
 * Unpacks brotli-compressed files of an installed package into a cache folder, once per version.
 *
 * `NAME.tar.br` is unpacked as an archive; any other `NAME.br` becomes an executable file `NAME`.
 * The folder appears complete or not at all: everything is written beside it and then renamed, so
 * that several processes may ask at once, and a process that is killed leaves nothing half done.
 *
 * @param name - the name of the folder; the package's version is added to it
 * @param files - absolute paths of the compressed files
 * @param onUnpack - called before the work, where there is any to do
 * @returns the folder
 * @throws the file system's error where neither the cache nor the temporary folder is writable
 */
export function unpackOnce(
  owner: InstalledPackage,
  name: string,
  files: readonly string[],
  onUnpack?: () => void,
): string {
  const cache = cacheFolder(owner);
  const target = join(cache, `${name}-${owner.version}`);
  if (existsSync(target)) return target;

  onUnpack?.();
  removeAbandoned(cache);
  const partial = `${target}.partial-${process.pid}-${randomBytes(4).toString("hex")}`;
  mkdirSync(partial);
  try {
    for (const file of files) unpackFile(file, partial);
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    // Another process was faster, and its folder is as good as ours.
    if (!existsSync(target)) throw error;
  }
  return target;
}

/** `node_modules/.cache/moorage` of the package's own tree, else a private temporary folder. */
function cacheFolder(owner: InstalledPackage): string {
  const marker = join("/", "node_modules", "/");
  const at = owner.folder.lastIndexOf(marker);
  if (at >= 0) {
    const folder = join(owner.folder.slice(0, at + marker.length), ".cache", "moorage");
    try {
      mkdirSync(folder, { recursive: true });
      accessSync(folder, constants.W_OK);
      return folder;
    } catch {
      // Installed by somebody else; the temporary folder it is.
    }
  }
  return privateTemporaryFolder();
}

function privateTemporaryFolder(): string {
  const { uid, username } = userInfo();
  const folder = join(tmpdir(), `moorage-${uid >= 0 ? uid : username}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Libraries are loaded from here, so in a shared folder it must be ours alone.
  const found = lstatSync(folder);
  if (!found.isDirectory() || (uid >= 0 && (found.uid !== uid || (found.mode & 0o022) !== 0))) {
    throw new Error(`${folder} is not a folder that only this user can write to; remove it.`);
  }
  return folder;
}

/** Removes what processes left that were killed while they unpacked. */
function removeAbandoned(cache: string): void {
  const longAgo = Date.now() - 10 * 60_000;
  for (const name of readdirSync(cache)) {
    if (!name.includes(".partial-")) continue;
    const folder = join(cache, name);
    try {
      if (statSync(folder).mtimeMs < longAgo) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Its owner has just finished with it.
    }
  }
}

function unpackFile(file: string, folder: string): void {
  const bytes = brotliDecompressSync(readFileSync(file));
  const name = basename(file, ".br");
  if (name.endsWith(".tar")) unpackTar(bytes, folder);
  else writeFileSync(join(folder, name), bytes, { mode: 0o755 });
}

/** Reads plain ustar: files and folders only, which is all that these archives hold. */
function unpackTar(bytes: Buffer, folder: string): void {
  const text = (from: number, length: number): string =>
    bytes.toString("utf8", from, from + length).replace(/\0[^]*$/, "");

  for (let at = 0; at + 512 <= bytes.length;) {
    const prefix = text(at + 345, 155);
    const name = normalize(prefix === "" ? text(at, 100) : `${prefix}/${text(at, 100)}`);
    if (text(at, 100) === "") break;
    if (name.startsWith("..") || name.startsWith("/")) {
      throw new Error(`An archive names a file outside its folder: ${name}`);
    }
    const size = Number.parseInt(text(at + 124, 12), 8) || 0;
    const mode = Number.parseInt(text(at + 100, 8), 8) || 0o644;
    const type = text(at + 156, 1);
    const path = join(folder, name);
    if (type === "5") {
      mkdirSync(path, { recursive: true });
    } else if (type === "0" || type === "") {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes.subarray(at + 512, at + 512 + size), { mode: mode | 0o600 });
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
