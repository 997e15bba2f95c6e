import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";

/** The name under which Dawn asks the system for Vulkan. */
export const vulkanLoaderName = "libvulkan.so.1";

/**
 * Finds the Vulkan loader where Dawn will: in the folder of `dawn.node`, beside `node`, on
 * `LD_LIBRARY_PATH`, then in the system's library folders.
 *
 * Looking is quiet and costs well under a millisecond; letting Dawn try without one prints warnings.
 */
export function findVulkanLoader(dawnFolder: string): string | undefined {
  const folders = [
    dawnFolder,
    dirname(process.execPath),
    ...(process.env["LD_LIBRARY_PATH"] ?? "").split(delimiter).filter((folder) => folder !== ""),
    "/usr/local/lib",
    "/usr/lib64",
    "/usr/lib",
    "/lib",
  ];
  const candidates = [
    ...folders.map((folder) => join(folder, vulkanLoaderName)),
    ...libraryCacheEntries(),
  ];
  return candidates.find(isLibraryForThisMachine);
}

/** The driver manifests (ICDs) that a Vulkan loader would consider, in its order. */
export function findVulkanDrivers(): readonly string[] {
  const { env } = process;
  const named = env["VK_DRIVER_FILES"] ?? env["VK_ICD_FILENAMES"];
  if (named !== undefined) return named.split(delimiter).filter(isFile);

  const home = homedir();
  const list = (value: string | undefined, otherwise: string): readonly string[] =>
    (value === undefined || value === "" ? otherwise : value).split(delimiter);
  const folders = new Set(
    [
      ...list(env["XDG_CONFIG_HOME"], join(home, ".config")),
      ...list(env["XDG_CONFIG_DIRS"], "/etc/xdg"),
      "/usr/local/etc",
      "/etc",
      ...list(env["XDG_DATA_HOME"], join(home, ".local/share")),
      ...list(env["XDG_DATA_DIRS"], "/usr/local/share:/usr/share"),
      "/usr/local/share",
      "/usr/share",
    ].map((folder) => join(folder, "vulkan/icd.d")),
  );
  const extra = (env["VK_ADD_DRIVER_FILES"] ?? "").split(delimiter).filter(isFile);
  return [...extra, ...[...folders].flatMap(manifestsIn)];
}

/**
 * Whether Linux shows a GPU at all. Without one, asking the system's drivers can only give a
 * software adapter, at the price of loading every one of them.
 */
export function hasGpuDeviceNode(): boolean {
  const names = /^(nvidia\d+|nvidiactl|dxg|mali\d+|kgsl-3d\d+|kfd)$/;
  return (
    entriesOf("/dev").some((name) => names.test(name)) ||
    entriesOf("/dev/dri").some((name) => name.startsWith("renderD"))
  );
}

/** What the dynamic linker knows beyond the usual folders; its cache is a table of strings. */
function libraryCacheEntries(): readonly string[] {
  try {
    const cache = readFileSync("/etc/ld.so.cache", "latin1");
    return cache.match(/\/[^\0]*\/libvulkan\.so\.1(?=\0)/g) ?? [];
  } catch {
    return [];
  }
}

/** Skips empty files and libraries of another architecture, which the linker skips as well. */
function isLibraryForThisMachine(path: string): boolean {
  if (!isFile(path)) return false;
  const machines: Partial<Record<string, number>> = { x64: 62, arm64: 183 };
  const file = openSync(path, "r");
  try {
    const header = Buffer.alloc(20);
    if (readSync(file, header, 0, 20, 0) < 20) return false;
    return header.readUInt16LE(18) === machines[process.arch];
  } finally {
    closeSync(file);
  }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function manifestsIn(folder: string): readonly string[] {
  return entriesOf(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(folder, name))
    .filter(isFile);
}

function entriesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
