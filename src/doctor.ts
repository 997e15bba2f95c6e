import { existsSync } from "node:fs";

import { dawnLibrary, loadDawn, openAdapter, resolveChoice } from "./dawn.ts";
import type { AdapterChoice, OpenedAdapter } from "./dawn.ts";
import { platformAdvice } from "./platform-advice.ts";
import { findPackage } from "./resolve-package.ts";
import { findSoftwarePackage, softwarePackageName, softwareRunsHere } from "./software-adapter.ts";
import { findVulkanDrivers, findVulkanLoader, hasGpuDeviceNode } from "./vulkan-loader.ts";

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What to do about it on this platform, where something can be done. */
  readonly fix?: string;
}

/** What stands between this machine and a WebGPU adapter, if anything. */
export interface Diagnosis {
  /** Whether Moorage can open a device here. */
  readonly usable: boolean;
  /** Every check in order. One that is not `ok` is harmless as long as `usable` holds. */
  readonly checks: readonly Check[];
}

/**
 * Looks at everything that an adapter in Node depends on, and opens a device on the one that
 * Moorage would use. Never throws: what goes wrong is a check that is not `ok`.
 */
export async function diagnose(): Promise<Diagnosis> {
  const checks: Check[] = [checkNode(), { name: "platform", ok: true, detail: platformName() }];
  const library = await checkDawn();
  checks.push(...library.checks);
  if (library.folder === undefined) return { usable: false, checks };

  if (process.platform === "linux") checks.push(...checkVulkan(library.folder));
  const carrier = checkSoftwarePackage();
  checks.push(carrier);
  checks.push(await checkAdapter("system adapter", "system"));
  if (carrier.ok) checks.push(await checkAdapter("npm software adapter", "software"));
  const used = await checkUsed();
  checks.push(used);
  return { usable: used.ok, checks };
}

/** The diagnosis as text for a terminal, with what to do at the end where there is something. */
export function formatDiagnosis({ usable, checks }: Diagnosis): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  const lines = checks.map(
    ({ name, ok, detail }) => `  ${ok ? "ok" : "--"}  ${name.padEnd(width)}  ${detail}`,
  );
  if (usable) return ["Moorage can use WebGPU here.", "", ...lines].join("\n");

  const fixes = [
    ...new Set(checks.flatMap(({ ok, fix }) => (ok || fix === undefined ? [] : [fix]))),
  ];
  return [
    "Moorage finds no WebGPU adapter here.",
    "",
    ...lines,
    "",
    "What to do:",
    ...fixes.map((fix) => `  - ${fix.replaceAll("\n", "\n    ")}`),
  ].join("\n");
}

function checkNode(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  const detail = `${process.versions.node}${ok ? "" : " (20.19 or newer is needed)"}`;
  return { name: "node", ok, detail, fix: "Install Node 20.19 or newer." };
}

function platformName(): string {
  return `${process.platform}-${process.arch}`;
}

async function checkDawn(): Promise<{ checks: readonly Check[]; folder?: string }> {
  const installed = findPackage("webgpu");
  if (installed === undefined) {
    const fix = "npm install webgpu";
    return { checks: [{ name: "webgpu", ok: false, detail: "not installed", fix }] };
  }
  const found = { name: "webgpu", ok: true, detail: `${installed.version} (Dawn for Node)` };
  const library = dawnLibrary(installed);
  try {
    const { libraryFolder } = await loadDawn();
    const loads = { name: "dawn.node", ok: true, detail: `loads from ${libraryFolder}` };
    return { checks: [found, loads], folder: libraryFolder };
  } catch (error) {
    const detail = existsSync(library)
      ? `does not load: ${reason(error)}`
      : `webgpu ${installed.version} has none for ${platformName()}`;
    const fix = platformAdvice().dawn;
    return { checks: [found, { name: "dawn.node", ok: false, detail, fix }] };
  }
}

function checkVulkan(dawnFolder: string): readonly Check[] {
  const fix = platformAdvice().driver;
  const loader = findVulkanLoader(dawnFolder);
  const drivers = findVulkanDrivers();
  const gpu = hasGpuDeviceNode();
  return [
    { name: "GPU device", ok: gpu, detail: gpu ? "visible in /dev" : "none visible in /dev" },
    { name: "Vulkan loader", ok: loader !== undefined, detail: loader ?? "not found", fix },
    {
      name: "Vulkan drivers",
      ok: drivers.length > 0,
      detail: drivers.length > 0 ? drivers.join(", ") : "none installed",
      fix,
    },
  ];
}

function checkSoftwarePackage(): Check {
  const name = softwarePackageName;
  if (!softwareRunsHere) {
    return { name, ok: false, detail: `is for Linux on x64 only; this is ${platformName()}` };
  }
  const found = findSoftwarePackage();
  if (found !== undefined) return { name, ok: true, detail: `${found.version}, ${found.folder}` };
  const { software } = platformAdvice();
  return { name, ok: false, detail: "not installed", ...(software && { fix: software }) };
}

async function checkAdapter(name: string, adapter: AdapterChoice): Promise<Check> {
  try {
    const opened = await openAdapter({ adapter });
    if (adapter === "software" && opened.source !== "npm-software") {
      return { name, ok: false, detail: "none" };
    }
    return { name, ok: true, detail: adapterLine(opened) };
  } catch (error) {
    return { name, ok: false, detail: triedPart(error), fix: platformAdvice().driver };
  }
}

/** Opens what `createRuntime` would open, and moves four bytes through it. */
async function checkUsed(): Promise<Check> {
  const name = "Moorage uses";
  const set = process.env["MOORAGE_ADAPTER"];
  const chosen = set === undefined || set === "" ? "" : ` (MOORAGE_ADAPTER=${set})`;
  try {
    const opened = await openAdapter({ adapter: resolveChoice("auto") });
    await moveFourBytes(opened.adapter);
    return { name, ok: true, detail: `${opened.description}${chosen}` };
  } catch (error) {
    const fix = chosen === "" ? platformAdvice().driver : "Unset MOORAGE_ADAPTER, and try again.";
    return { name, ok: false, detail: `nothing${chosen}; tried: ${triedPart(error)}`, fix };
  }
}

async function moveFourBytes(adapter: GPUAdapter): Promise<void> {
  const device = await adapter.requestDevice({ label: "moorage doctor" });
  try {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const buffer = device.createBuffer({ label: "moorage doctor", size: 4, usage });
    device.queue.writeBuffer(buffer, 0, new Uint32Array([0x6d6f6f72]));
    await buffer.mapAsync(GPUMapMode.READ);
    const [read] = new Uint32Array(buffer.getMappedRange());
    // The null backend executes nothing, and maps what was never written.
    const isNull = adapter.info.device === "null-backend";
    if (!isNull && read !== 0x6d6f6f72) throw new Error("its device returns wrong data");
  } finally {
    device.destroy();
  }
}

function adapterLine({ adapter, description }: OpenedAdapter): string {
  const { vendor, architecture, isFallbackAdapter } = adapter.info;
  const kind = isFallbackAdapter ? "software" : "hardware";
  const maxBufferMiB = Math.floor(adapter.limits.maxBufferSize / 2 ** 20);
  return `${description} [${kind}; ${[vendor, architecture].filter(Boolean).join(" ")}; buffers up to ${maxBufferMiB} MiB]`;
}

/** Of the runtime's "no adapter" error, what was tried: the rest of it points to the doctor. */
function triedPart(error: unknown): string {
  return /Tried: (.*?)\. (?:\(In a worker|Run `npx)/.exec(reason(error))?.[1] ?? reason(error);
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message.split("\n")[0]})` : "";
  return `${error.message.split("\n")[0]}${cause}`;
}
