/** Moorage in Node, on Dawn: everything of `moorage`, with a `createRuntime` that finds an adapter. */

import { writeSync } from "node:fs";

import { openAdapter } from "./dawn.ts";
import type { OpenAdapterOptions } from "./dawn.ts";
import type { RuntimeOptions } from "./device/runtime-options.ts";
import { createRuntime as createOn, openRuntimes } from "./device/runtime.ts";
import type { Runtime } from "./device/runtime.ts";

export * from "./index.ts";
export { detectSimdAlignment } from "./processor-flags.ts";
export { openAdapter } from "./dawn.ts";
export type { AdapterChoice, OpenAdapterOptions, OpenedAdapter } from "./dawn.ts";
export { diagnose, formatDiagnosis } from "./doctor.ts";
export { npmChromium } from "./npm-chromium.ts";
export type { ChromiumLaunch } from "./npm-chromium.ts";
export type { Diagnosis } from "./doctor.ts";

export interface NodeRuntimeOptions extends Omit<RuntimeOptions, "adapter"> {
  /** Which adapter: see {@link openAdapter}; or one that is open already. */
  readonly adapter?: OpenAdapterOptions["adapter"] | GPUAdapter;
  /** Told what is done, where opening takes a moment. */
  readonly onProgress?: (message: string) => void;
}

/**
 * Opens a runtime on the machine's GPU, else on the software adapter that npm carries. Rejects with
 * `NO_WEBGPU` or `NO_ADAPTER`; `npx moorage doctor` says more.
 */
export async function createRuntime(options: NodeRuntimeOptions = {}): Promise<Runtime> {
  const { adapter, powerPreference, onProgress, ...rest } = options;
  warnAtExit();
  const choice = typeof adapter === "object" ? undefined : adapter;
  const requestAdapter = async (): Promise<GPUAdapter> =>
    (await openAdapter({ adapter: choice, powerPreference, onProgress })).adapter;
  const given = typeof adapter === "object" ? { adapter } : {};
  return await createOn({ requestAdapter, waiting: "sleep", ...rest, ...given });
}

let isWarning = false;

/** Tells a program that forgot `dispose()`, when it ends. */
function warnAtExit(): void {
  if (isWarning) return;
  isWarning = true;
  process.once("exit", () => {
    for (const runtime of openRuntimes()) {
      const live = runtime.live().map(({ label }) => `"${label}"`);
      const held = live.length === 0 ? "" : `, with ${live.length} live: ${live.join(", ")}`;
      // Written at once: at exit, console output to a pipe would be lost on some platforms.
      writeSync(
        2,
        `moorage: runtime "${runtime.label}" was never disposed${held}; call await runtime.dispose(), or use await using\n`,
      );
    }
  });
}
