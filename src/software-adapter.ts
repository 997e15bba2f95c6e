import { randomBytes } from "node:crypto";
import { copyFileSync, existsSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

import { DeviceError } from "./host/errors.ts";
import { findPackage } from "./resolve-package.ts";
import type { InstalledPackage } from "./resolve-package.ts";
import { unpackOnce } from "./unpack.ts";
import { findVulkanLoader, vulkanLoaderName } from "./vulkan-loader.ts";

/** The npm package that carries SwiftShader, a Vulkan loader and a headless Chromium. */
export const softwarePackageName = "@sparticuz/chromium";

/** The command that adds a software adapter to a project. */
export const softwareInstallCommand = `npm install --save-dev ${softwarePackageName}@147.0.0`;

/** Whether the package's libraries, which are for Linux on x64, run on this machine. */
export const softwareRunsHere = process.platform === "linux" && process.arch === "x64";

/**
 * Finds the package that carries the software adapter.
 *
 * @returns `undefined` where it is not installed, or is for another platform.
 */
export function findSoftwarePackage(): InstalledPackage | undefined {
  if (!softwareRunsHere) return undefined;
  const found = findPackage(softwarePackageName);
  return found !== undefined && existsSync(compressed(found, "swiftshader.tar.br"))
    ? found
    : undefined;
}

/** The path of one of the package's compressed files. */
export function compressed(software: InstalledPackage, name: string): string {
  return join(software.folder, "bin", name);
}

/**
 * Makes SwiftShader the Vulkan driver for Dawn instances that are created while `use` runs.
 *
 * 1. The package's libraries are unpacked into a cache folder, if they are not there yet.
 * 2. Where the machine has no Vulkan loader, the package's own is placed beside `dawn.node`: the
 *    one place where Dawn looks that is ours to write to.
 * 3. `VK_ICD_FILENAMES` names SwiftShader until `use` has settled; it is read when an instance is
 *    created, and adapters and devices outlive it. (In a worker this needs `env: SHARE_ENV`:
 *    otherwise a worker's `process.env` is a copy that C code does not see.)
 *
 * @param dawnFolder - the folder of `dawn.node`
 * @throws DeviceError `NO_ADAPTER` where the loader is needed and cannot be placed
 */
export async function withSoftwareDriver<T>(
  software: InstalledPackage,
  dawnFolder: string,
  use: () => Promise<T>,
  onProgress?: (message: string) => void,
): Promise<T> {
  const files = [compressed(software, "swiftshader.tar.br")];
  const folder = unpackOnce(software, "swiftshader", files, () =>
    onProgress?.(`unpacking the software adapter of ${software.name} ${software.version}`),
  );
  if (findVulkanLoader(dawnFolder) === undefined) placeLoader(folder, dawnFolder);

  const restore = setEnvironment({
    VK_ICD_FILENAMES: join(folder, "vk_swiftshader_icd.json"),
    // It would win over the line above.
    VK_DRIVER_FILES: undefined,
  });
  try {
    return await use();
  } finally {
    restore();
  }
}

/** A copy and a rename, so that a process that starts meanwhile never loads half a library. */
function placeLoader(from: string, dawnFolder: string): void {
  const target = join(dawnFolder, vulkanLoaderName);
  const partial = `${target}.partial-${process.pid}-${randomBytes(4).toString("hex")}`;
  try {
    copyFileSync(join(from, vulkanLoaderName), partial);
    renameSync(partial, target);
  } catch (cause) {
    rmSync(partial, { force: true });
    throw new DeviceError(
      "NO_ADAPTER",
      `The machine has no Vulkan loader, and ${dirname(target)} is not writable. Start the program ` +
        `with LD_LIBRARY_PATH=${from}, or install a Vulkan loader.`,
      { cause },
    );
  }
}

function setEnvironment(values: Readonly<Record<string, string | undefined>>): () => void {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  const write = (name: string, value: string | undefined): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  for (const [name, value] of Object.entries(values)) write(name, value);
  return () => {
    for (const [name, value] of before) write(name, value);
  };
}
