import { join } from "node:path";

import {
  compressed,
  findSoftwarePackage,
  softwareInstallCommand,
} from "../src/software-adapter.ts";
import { unpackOnce } from "../src/unpack.ts";

/** What Playwright's `launchOptions` need to start a browser that has WebGPU on any machine. */
export interface ChromiumLaunch {
  readonly executablePath: string;
  readonly args: string[];
  readonly env: Record<string, string>;
}

/**
 * The headless Chromium that npm carries (Linux on x64), with the libraries and fonts it needs:
 * no system package, no download beside npm's, no root.
 */
export function npmChromium(): ChromiumLaunch {
  const carrier = findSoftwarePackage();
  if (carrier === undefined) throw new Error(`Linux on x64 only; ${softwareInstallCommand}`);
  const parts = ["chromium.br", "al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br"];
  const folder = unpackOnce(
    carrier,
    "chromium",
    parts.map((part) => compressed(carrier, part)),
  );
  return {
    executablePath: join(folder, "chromium"),
    args: [...webgpuFlags, "--use-webgpu-adapter=swiftshader"],
    env: {
      ...(process.env as Record<string, string>),
      LD_LIBRARY_PATH: join(folder, "lib"),
      FONTCONFIG_PATH: folder,
    },
  };
}

/** The flags that give WebGPU to a headless Chromium; its sandbox does not start as root. */
export const webgpuFlags: readonly string[] = [
  "--enable-unsafe-webgpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];
