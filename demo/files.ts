/** Files of the command line: read whole, checked before work starts, written beside and renamed. */

import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import { open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

import { CommandError } from "./command-line.ts";

/** The bytes of a file; throws a {@link CommandError} that names it. */
export async function readInput(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new CommandError(
      messageOf(path, error, {
        ENOENT: "there is no such file; check the name",
        EISDIR: "is a directory; name a PNG file in it",
        EACCES: "may not be read by you; check its permissions",
      }),
    );
  }
}

/**
 * Makes sure that an output can be written, and returns the path to write to, with symbolic links
 * followed. Throws a {@link CommandError} that names it; leaves nothing behind.
 */
export async function checkOutput(path: string, others: readonly string[]): Promise<string> {
  const target = existsSync(path) ? realpathSync(path) : resolve(path);
  const same = others.find((other) => existsSync(other) && realpathSync(other) === target);
  if (same !== undefined || others.includes(target)) {
    throw new CommandError(`${path}: would be written over "${same ?? path}"; name another file`);
  }
  try {
    if (existsSync(target)) {
      const found = statSync(target);
      if (found.isDirectory())
        throw new CommandError(`${path}: is a directory; name a file in it to write`);
      // To rename a file onto a device or a pipe would replace it.
      if (!found.isFile())
        throw new CommandError(`${path}: is no regular file, and would be replaced; name a file`);
      accessSync(target, constants.W_OK);
    }
    // What matters is whether a file can be made beside it, and only making one tells.
    const beside = besideOf(target);
    await (await open(beside, "wx")).close();
    await rm(beside);
    return target;
  } catch (error) {
    throw writeError(path, error);
  }
}

/** Writes all of it or nothing: first beside, then renamed. */
export async function writeOutput(path: string, content: Uint8Array | string): Promise<void> {
  const beside = besideOf(path);
  try {
    const file = await open(beside, "wx");
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw writeError(path, error);
  }
}

function besideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.part`);
}

function writeError(path: string, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  return new CommandError(
    messageOf(path, error, {
      ENOENT: "its folder does not exist; make it first",
      ENOTDIR: "its folder is a file; name another place",
      EACCES: "may not be written by you; name another place, or check its permissions",
      EPERM: "may not be written by you; name another place, or check its permissions",
      EROFS: "is on a file system that is read-only; name another place",
      ENOSPC: "there is no space left on its disk; make some",
      ENAMETOOLONG: "its name is too long; shorten it",
    }),
  );
}

function messageOf(
  path: string,
  error: unknown,
  reasons: { readonly [code: string]: string },
): string {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return `${path}: ${reasons[code] ?? message}`;
}
