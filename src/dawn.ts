import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";

import { DeviceError, InvalidArgumentError } from "./host/errors.ts";
import { findPackage } from "./resolve-package.ts";
import type { InstalledPackage } from "./resolve-package.ts";
import {
  findSoftwarePackage,
  softwarePackageName,
  softwareRunsHere,
  withSoftwareDriver,
} from "./software-adapter.ts";
import { findVulkanDrivers, findVulkanLoader, hasGpuDeviceNode } from "./vulkan-loader.ts";

/**
 * Which adapter to open.
 *
 * - `"auto"`: the machine's GPU; else the software adapter that npm carries; else the system's.
 * - `"hardware"`: the machine's GPU, or an error.
 * - `"system"`: whatever the system's drivers give, a software driver included.
 * - `"software"`: the software adapter that npm carries; else the system's.
 * - `"null"`: a device that validates and compiles, and executes nothing.
 */
export type AdapterChoice = "auto" | "hardware" | "system" | "software" | "null";

const choices: readonly string[] = ["auto", "hardware", "system", "software", "null"];

export interface OpenAdapterOptions {
  /** Default `"auto"`, which the environment variable `MOORAGE_ADAPTER` replaces where it is set. */
  readonly adapter?: AdapterChoice | undefined;
  readonly powerPreference?: GPUPowerPreference | undefined;
  /** Told what is done, where it may take a moment: one short line at a time. */
  readonly onProgress?: ((message: string) => void) | undefined;
}

/** An adapter, and where it came from. */
export interface OpenedAdapter {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  readonly source: "system" | "npm-software" | "null";
  /** One line for people, such as `SwiftShader driver 5.0.0 (software adapter from npm)`. */
  readonly description: string;
}

/**
 * Opens an adapter in Node through Dawn (the optional peer dependency `webgpu`), and installs the
 * WebGPU globals (`GPUBufferUsage` and the like) on `globalThis` where they are absent.
 *
 * @throws DeviceError `NO_WEBGPU` where `webgpu` is not installed or does not load, `NO_ADAPTER`
 *   where there is no adapter of the kind that was asked for
 * @throws InvalidArgumentError where `MOORAGE_ADAPTER` is not one of the choices
 */
export function openAdapter(options: OpenAdapterOptions = {}): Promise<OpenedAdapter> {
  // Opening goes through environment variables, which belong to the process: one at a time.
  const opened = lastOpening.then(() => openNow(options));
  lastOpening = opened.then(
    () => undefined,
    () => undefined,
  );
  return opened;
}

let lastOpening: Promise<void> = Promise.resolve();

async function openNow(options: OpenAdapterOptions): Promise<OpenedAdapter> {
  const choice = resolveChoice(options.adapter);
  const dawn = await loadDawn();
  const attempt = new Attempt(dawn, options);
  const opened = await attempt.open(choice);
  if (opened !== undefined) return opened;

  const worker = isMainThread
    ? ""
    : " (In a worker thread, start it with `env: SHARE_ENV`: drivers are chosen by environment variables.)";
  throw new DeviceError(
    "NO_ADAPTER",
    `No WebGPU adapter (asked for "${choice}"). Tried: ${attempt.notes.join("; ")}.${worker} ` +
      "Run `npx moorage doctor` to see what is missing on this machine and what to install.",
    { cause: attempt.cause },
  );
}

/** What `adapter` means, with `MOORAGE_ADAPTER` taken into account. */
export function resolveChoice(asked: AdapterChoice | undefined): AdapterChoice {
  if (asked !== undefined && !choices.includes(asked)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `adapter is "${asked}"; it can be ${choices.join(", ")}.`,
    );
  }
  if (asked !== undefined && asked !== "auto") return asked;
  const value = process.env["MOORAGE_ADAPTER"];
  if (value === undefined || value === "") return "auto";
  if (choices.includes(value)) return value as AdapterChoice;
  throw new InvalidArgumentError(
    "INVALID_ARGUMENT",
    `MOORAGE_ADAPTER is "${value}"; it can be ${choices.join(", ")}.`,
  );
}

/** Dawn's module and where its library is. */
export interface Dawn {
  readonly create: (flags: string[]) => GPU;
  readonly installed: InstalledPackage;
  /** The folder of `dawn.node` for this platform. */
  readonly libraryFolder: string;
}

/** The file that `webgpu` loads on this platform. */
export function dawnLibrary(installed: InstalledPackage): string {
  const platform = process.platform === "darwin" ? "darwin-universal" : undefined;
  const folder = platform ?? `${process.platform}-${process.arch}`;
  return join(installed.folder, "dist", folder, "dawn.node");
}

/**
 * Loads `webgpu`, and installs its globals where they are absent.
 *
 * @throws DeviceError `NO_WEBGPU`
 */
export async function loadDawn(): Promise<Dawn> {
  const installed = findPackage("webgpu");
  if (installed === undefined) {
    throw new DeviceError(
      "NO_WEBGPU",
      "Moorage reaches the GPU from Node through the package `webgpu`, which is not installed. " +
        "Run `npm install webgpu`.",
    );
  }
  const library = dawnLibrary(installed);
  const { create, globals } = await importDawn(installed, library);
  for (const [name, value] of Object.entries(globals)) {
    if (!(name in globalThis)) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  }
  return { create, installed, libraryFolder: join(library, "..") };
}

async function importDawn(
  installed: InstalledPackage,
  library: string,
): Promise<{ create: (flags: string[]) => GPU; globals: object }> {
  try {
    return (await import(/* @vite-ignore */ pathToFileURL(installed.entry).href)) as Awaited<
      ReturnType<typeof importDawn>
    >;
  } catch (cause) {
    const why = existsSync(library)
      ? "its library does not load here (on Linux it wants glibc, not musl)"
      : `it has no library for ${process.platform}-${process.arch}`;
    throw new DeviceError(
      "NO_WEBGPU",
      `webgpu ${installed.version} is installed, but ${why}. Run \`npx moorage doctor\`.`,
      { cause },
    );
  }
}

/** Every Dawn instance of this process. */
const instances = new Set<GPU>();

/** One walk through the places an adapter can come from, and notes of what each one said. */
class Attempt {
  readonly notes: string[] = [];
  cause: unknown;
  readonly #dawn: Dawn;
  readonly #options: OpenAdapterOptions;

  constructor(dawn: Dawn, options: OpenAdapterOptions) {
    this.#dawn = dawn;
    this.#options = options;
  }

  async open(choice: AdapterChoice): Promise<OpenedAdapter | undefined> {
    switch (choice) {
      case "null":
        return this.#request("null", ["backend=null"]);
      case "hardware":
        return hardwareOnly(await this.#system(), this.notes);
      case "system":
        return this.#system();
      case "software":
        return (await this.#npmSoftware()) ?? (await this.#system({ forceFallbackAdapter: true }));
      case "auto": {
        // Where there is no GPU to find, the system's drivers are asked last: they are slow to load.
        const first = mayHaveGpu() ? await this.#system() : undefined;
        if (first !== undefined && !first.adapter.info.isFallbackAdapter) return first;
        return (await this.#npmSoftware()) ?? first ?? (await this.#system());
      }
    }
  }

  async #system(request: GPURequestAdapterOptions = {}): Promise<OpenedAdapter | undefined> {
    if (process.platform === "linux") {
      if (findVulkanLoader(this.#dawn.libraryFolder) === undefined) {
        return this.#fail("the system (no Vulkan loader)");
      }
      if (findVulkanDrivers().length === 0) return this.#fail("the system (no Vulkan driver)");
      // Mesa's software driver complains without it, and needs only that the folder exists.
      process.env["XDG_RUNTIME_DIR"] ??= tmpdir();
    }
    return (
      (await this.#request("system", [], request)) ??
      this.#fail("the system (its drivers give no adapter)")
    );
  }

  async #npmSoftware(): Promise<OpenedAdapter | undefined> {
    const software = findSoftwarePackage();
    if (software === undefined) {
      const why = softwareRunsHere ? "is not installed" : "is for Linux on x64 only";
      return this.#fail(`software from npm (${softwarePackageName} ${why})`);
    }
    try {
      const opened = await withSoftwareDriver(
        software,
        this.#dawn.libraryFolder,
        () => this.#request("npm-software", []),
        this.#options.onProgress,
      );
      if (opened?.adapter.info.architecture === "swiftshader") return opened;
      return this.#fail(`software from npm (${software.name} gave no adapter)`);
    } catch (error) {
      this.cause = error;
      return this.#fail(
        `software from npm (${error instanceof Error ? error.message : String(error)})`,
      );
    }
  }

  async #request(
    source: OpenedAdapter["source"],
    flags: string[],
    request: GPURequestAdapterOptions = {},
  ): Promise<OpenedAdapter | undefined> {
    const { powerPreference } = this.#options;
    const gpu = this.#dawn.create(flags);
    // Dawn unloads the driver with its instance, under the feet of the driver's threads and of any
    // device that is still in use: the process would crash. So instances are never collected.
    instances.add(gpu);
    const adapter = await gpu.requestAdapter({
      ...request,
      ...(powerPreference === undefined ? {} : { powerPreference }),
    });
    if (adapter === null) return undefined;
    return { gpu, adapter, source, description: describeAdapter(adapter, source) };
  }

  #fail(note: string): undefined {
    this.notes.push(note);
    return undefined;
  }
}

function hardwareOnly(
  opened: OpenedAdapter | undefined,
  notes: string[],
): OpenedAdapter | undefined {
  if (opened === undefined || !opened.adapter.info.isFallbackAdapter) return opened;
  notes.push(`the system (${opened.description} is no hardware)`);
  return undefined;
}

/** Only Linux tells cheaply that it has none. */
function mayHaveGpu(): boolean {
  return process.platform !== "linux" || hasGpuDeviceNode();
}

function describeAdapter(adapter: GPUAdapter, source: OpenedAdapter["source"]): string {
  if (source === "null") return "Dawn's null backend (executes nothing)";
  const { description, device, vendor, architecture, isFallbackAdapter } = adapter.info;
  const name = description || device || `${vendor} ${architecture}`.trim() || "unnamed adapter";
  if (source === "npm-software") return `${name} (software adapter from npm)`;
  return isFallbackAdapter ? `${name} (the system's software adapter)` : name;
}
