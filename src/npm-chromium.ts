import { existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { compressed, findSoftwarePackage, softwareInstallCommand } from "./software-adapter.ts";
import { unpackOnce } from "./unpack.ts";

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
      FONTCONFIG_FILE: fontConfiguration(folder),
    },
  };
}

/**
 * Names the unpacked fonts. The configuration that comes with them looks in other folders, and a
 * Chromium without any font ends itself at the first `<input>` or `<select>` that it lays out.
 */
function fontConfiguration(folder: string): string {
  const file = join(folder, "moorage-fonts.conf");
  if (existsSync(file)) return file;
  const escaped = folder.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const partial = `${file}.${process.pid}`;
  writeFileSync(
    partial,
    '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n' +
      `<fontconfig><dir>${escaped}/fonts</dir><cachedir>${escaped}/font-cache</cachedir></fontconfig>\n`,
  );
  renameSync(partial, file);
  return file;
}

/** The flags that give WebGPU to a headless Chromium; its sandbox does not start as root. */
export const webgpuFlags: readonly string[] = [
  "--enable-unsafe-webgpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
  ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
];
