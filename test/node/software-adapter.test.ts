import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { openAdapter } from "../../src/dawn.ts";
import { DeviceError, InvalidArgumentError } from "../../src/host/errors.ts";
import { findPackage } from "../../src/resolve-package.ts";
import { softwareRunsHere } from "../../src/software-adapter.ts";
import { unpackOnce } from "../../src/unpack.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "moorage-unpack-"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

describe("unpackOnce", () => {
  test("unpacks archives and executables, with folders and modes", () => {
    const owner = install("1.0.0", { "lib/a.txt": "alpha", "b.txt": "beta" });

    const at = unpackOnce(owner, "things", owner.files);

    expect(at).toBe(join(folder, "node_modules/.cache/moorage/things-1.0.0"));
    expect(readFileSync(join(at, "lib/a.txt"), "utf8")).toBe("alpha");
    expect(readFileSync(join(at, "b.txt"), "utf8")).toBe("beta");
    expect(readFileSync(join(at, "tool"), "utf8")).toBe("#!");
  });

  test("unpacks once for a version, and again for the next one", () => {
    const first = install("1.0.0", { "a.txt": "old" });
    const unpacked = vi.fn();
    const at = unpackOnce(first, "things", first.files, unpacked);
    expect(unpackOnce(first, "things", first.files, unpacked)).toBe(at);
    expect(unpacked).toHaveBeenCalledTimes(1);

    const second = install("2.0.0", { "a.txt": "new" });
    const next = unpackOnce(second, "things", second.files, unpacked);
    expect(readFileSync(join(next, "a.txt"), "utf8")).toBe("new");
    expect(unpacked).toHaveBeenCalledTimes(2);
  });

  test("leaves nothing behind where an archive is broken, or names a file outside", () => {
    const broken = install("1.0.0", { "a.txt": "x" });
    writeFileSync(broken.files[0]!, "not brotli");
    expect(() => unpackOnce(broken, "things", broken.files)).toThrow();

    const outside = install("1.0.1", { "../../escaped.txt": "x" });
    expect(() => unpackOnce(outside, "things", outside.files)).toThrow(/outside its folder/);

    expect(readdirSync(join(folder, "node_modules/.cache/moorage"))).toEqual([]);
    expect(existsSync(join(folder, "node_modules/.cache/escaped.txt"))).toBe(false);
  });

  test("removes what killed processes left, and not what running ones write", () => {
    const owner = install("1.0.0", { "a.txt": "x" });
    const cache = join(folder, "node_modules/.cache/moorage");
    const old = join(cache, "things-0.9.0.partial-1-00");
    const fresh = join(cache, "things-0.9.0.partial-2-00");
    mkdirSync(old, { recursive: true });
    mkdirSync(fresh);
    utimesSync(old, 0, 0);

    unpackOnce(owner, "things", owner.files);

    expect(readdirSync(cache).sort()).toEqual(["things-0.9.0.partial-2-00", "things-1.0.0"]);
  });

  test("goes to a private temporary folder where the package's own is not writable", () => {
    const owner = install("1.0.0", { "a.txt": "x" });
    // A file in the way stops root as well, whom permissions do not.
    writeFileSync(join(folder, "node_modules/.cache"), "");
    vi.stubEnv("TMPDIR", folder);

    const at = unpackOnce(owner, "things", owner.files);

    expect(at.startsWith(join(folder, "moorage-"))).toBe(true);
    expect(existsSync(join(at, "a.txt"))).toBe(true);

    if (process.platform === "win32") return;
    chmodSync(join(at, ".."), 0o777);
    const next = install("1.1.0", { "a.txt": "x" });
    expect(() => unpackOnce(next, "things", next.files)).toThrow(/only this user can write/);
  });
});

describe("openAdapter", () => {
  test.runIf(softwareRunsHere)(
    "opens the adapter that npm carries, and restores the environment",
    async () => {
      vi.stubEnv("VK_ICD_FILENAMES", "/nowhere/icd.json");
      const { adapter, source, description } = await openAdapter({ adapter: "software" });

      expect(source).toBe("npm-software");
      expect(description).toMatch(/SwiftShader.*from npm/);
      expect(adapter.info.architecture).toBe("swiftshader");
      expect(process.env["VK_ICD_FILENAMES"]).toBe("/nowhere/icd.json");
      // A device can be had after the environment is back as it was.
      (await adapter.requestDevice()).destroy();
    },
  );

  test("installs the WebGPU globals, and the null backend needs no Vulkan", async () => {
    const { source } = await openAdapter({ adapter: "null" });
    expect(source).toBe("null");
    expect(GPUBufferUsage.COPY_SRC).toBe(4);
  });

  test("MOORAGE_ADAPTER replaces the default only", async () => {
    vi.stubEnv("MOORAGE_ADAPTER", "null");
    expect((await openAdapter()).source).toBe("null");
    expect((await openAdapter({ adapter: "auto" })).source).toBe("null");
    vi.stubEnv("MOORAGE_ADAPTER", "cuda");
    expect((await openAdapter({ adapter: "null" })).source).toBe("null");
    await expect(openAdapter()).rejects.toThrow(InvalidArgumentError);
    await expect(openAdapter()).rejects.toThrow(/MOORAGE_ADAPTER is "cuda"; it can be auto/);
  });

  test.runIf(process.platform === "linux")(
    "without a driver, says what was tried and points to the doctor",
    async () => {
      vi.stubEnv("VK_ICD_FILENAMES", "/nowhere/icd.json");
      vi.stubEnv("VK_DRIVER_FILES", undefined);
      const failure = await openAdapter({ adapter: "system" }).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(DeviceError);
      expect(failure).toMatchObject({ code: "NO_ADAPTER" });
      expect(String(failure)).toMatch(/Tried: the system \(no Vulkan .*npx moorage doctor/);
    },
  );

  test.runIf(softwareRunsHere)("overlapping calls do not mix their environments up", async () => {
    vi.stubEnv("VK_ICD_FILENAMES", "/nowhere/icd.json");
    const settled = await Promise.allSettled([
      openAdapter({ adapter: "software" }),
      openAdapter({ adapter: "system" }),
      openAdapter({ adapter: "software" }),
    ]);
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });
});

test.runIf(softwareRunsHere)(
  "several processes unpack at once, and each finds the whole",
  async () => {
    const real = findPackage("@sparticuz/chromium")!;
    const copy = join(folder, "node_modules/carrier");
    mkdirSync(copy, { recursive: true });
    const script = `
    import { unpackOnce } from ${JSON.stringify(new URL("../../dist/unpack.js", import.meta.url).href)};
    import { statSync } from "node:fs";
    const at = unpackOnce({ name: "carrier", version: "1.0.0", folder: ${JSON.stringify(copy)}, entry: "" },
      "swiftshader", [${JSON.stringify(join(real.folder, "bin/swiftshader.tar.br"))}]);
    process.stdout.write(String(statSync(at + "/libvk_swiftshader.so").size));`;

    const sizes = await Promise.all(Array.from({ length: 4 }, () => runScript(script)));

    expect(new Set(sizes).size).toBe(1);
    expect(Number(sizes[0])).toBeGreaterThan(1_000_000);
    const cache = join(folder, "node_modules/.cache/moorage");
    expect(readdirSync(cache)).toEqual(["swiftshader-1.0.0"]);
  },
);

/** A package with an archive and an executable, compressed as the real one's are. */
function install(version: string, entries: Readonly<Record<string, string>>) {
  const home = join(folder, "node_modules/carrier");
  const archive = join(home, `things-${version}.tar.br`);
  const tool = join(home, "tool.br");
  mkdirSync(home, { recursive: true });
  writeFileSync(archive, brotliCompressSync(tar(entries)));
  writeFileSync(tool, brotliCompressSync(Buffer.from("#!")));
  return { name: "carrier", version, folder: home, entry: "", files: [archive, tool] };
}

function tar(entries: Readonly<Record<string, string>>): Buffer {
  const blocks = Object.entries(entries).flatMap(([name, text]) => {
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write("0000644", 100);
    header.write(text.length.toString(8).padStart(11, "0"), 124);
    header.write("0", 156);
    const content = Buffer.alloc(512);
    content.write(text);
    return [header, content];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function runScript(script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
    let output = "";
    child.stdout.on("data", (chunk) => (output += String(chunk)));
    child.stderr.on("data", (chunk) => (output += String(chunk)));
    child.on("error", reject).on("close", () => resolve(output));
  });
}
