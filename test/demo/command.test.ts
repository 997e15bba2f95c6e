import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { decodePng } from "../../demo/png.ts";
import { edgeReference, maxDifference, referenceInput } from "../support/edge-reference.ts";
import { makePicture, pictureFile } from "../support/pictures.ts";
import { encodePng } from "../support/png-encoder.ts";

// The main job runs as users run it: the built program, in a process of its own.
const program = fileURLToPath(new URL("../../demo/.out/main.js", import.meta.url));
const picture = makePicture(257, 131, 2, 8);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "moorage-command-"));
  writeFileSync(at("in.png"), pictureFile(picture));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function at(name: string): string {
  return join(folder, name);
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program in the folder; `watch` may act on the process when it has said something. */
function run(
  args: readonly string[],
  watch: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<Ending> {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { ...process.env, TMPDIR: folder, TEMP: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
      if (name === "stdout") watch(said.stdout, (signal) => child.kill(signal));
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      // Dawn's own words about some drivers' limits.
      const stderr = said.stderr.replaceAll(/^Warning: max\w+ artificially reduced .*\n/gm, "");
      resolve({ code, signal, stdout: said.stdout, stderr });
    });
  });
}

describe("the main job", () => {
  test("writes the edge map, and the figures as JSON", async () => {
    const { code, stdout, stderr } = await run(["in.png", "out.png", "--json", "run.json"]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const { width, height, samples } = await decodePng(readFileSync(at("out.png")));
    expect([width, height]).toEqual([257, 131]);
    const expected = edgeReference(referenceInput(picture.spec));
    const gray = Uint8Array.from({ length: width * height }, (_, pixel) => samples[pixel * 4]!);
    expect(maxDifference(gray, expected.pixels)).toBeLessThanOrEqual(1);

    const report = JSON.parse(readFileSync(at("run.json"), "utf8")) as unknown;
    const stages = [
      "upload",
      "luma",
      "blurX",
      "blurY",
      "sobel",
      "magnitude",
      "max",
      "normalise",
      "download",
    ];
    expect(report).toStrictEqual({
      adapter: expect.stringMatching(/./) as string,
      width: 257,
      height: 131,
      sigma: 2,
      strips: 1,
      stages: stages.map((name) => ({
        name,
        ms: expect.any(Number) as number,
        bytes: expect.any(Number) as number,
      })),
      memory: {
        deviceReservedPeakBytes: expect.any(Number) as number,
        deviceLiveBytes: 0,
        hostLiveBytes: 0,
        leaks: 0,
        gpuBuffersCreated: expect.any(Number) as number,
        gpuBuffersCreatedSecondRun: 0,
      },
      maxMagnitude: expect.closeTo(expected.maxMagnitude, 4) as number,
    });
    const { adapter } = report as { adapter: string };
    expect(stdout).toContain(`Adapter: ${adapter}`);
    expect(stdout).toMatch(/Leaks +none/);
    for (const name of stages) expect(stdout).toMatch(new RegExp(`^${name} +[\\d.]+ ms `, "m"));
    expect(stdout).toMatch(/Wrote .*out\.png and .*run\.json\n$/);
    expect(readdirSync(folder).sort()).toEqual(["in.png", "out.png", "run.json"]);
  });

  test("keeps a budget, with another sigma, over an output that exists", async () => {
    const large = makePicture(640, 420, 6, 16);
    writeFileSync(at("in.png"), pictureFile(large));
    writeFileSync(at("out.png"), "old");
    const args = ["in.png", "out.png", "--sigma=1.5", "--budget-mib", "4", "--json", "run.json"];
    const { code, stdout } = await run(args);
    expect(stdout).toMatch(/Sigma 1\.5, in \d+ strips, within 4\.0 MiB/);
    expect(code).toBe(0);
    const report = JSON.parse(readFileSync(at("run.json"), "utf8")) as {
      strips: number;
      memory: { deviceReservedPeakBytes: number; gpuBuffersCreatedSecondRun: number };
    };
    expect(report.strips).toBeGreaterThan(2);
    expect(report.memory.deviceReservedPeakBytes).toBeLessThan(4 * 2 ** 20);
    expect(report.memory.gpuBuffersCreatedSecondRun).toBe(0);
    const { samples } = await decodePng(readFileSync(at("out.png")));
    const expected = edgeReference(referenceInput(large.spec), 1.5);
    const gray = Uint8Array.from(expected.pixels, (_, pixel) => samples[pixel * 4]!);
    expect(maxDifference(gray, expected.pixels)).toBeLessThanOrEqual(1);
  });

  test("without files makes its own picture, and says where both are", async () => {
    const { code, stdout, stderr } = await run([]);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    const [, input = "", output = ""] = /^Wrote (.*) and (.*)$/m.exec(stdout) ?? [];
    const [made, edges] = await Promise.all(
      [input, output].map(async (path) => await decodePng(readFileSync(path))),
    );
    expect([made!.width, made!.height]).toEqual([edges!.width, edges!.height]);
    expect(Math.max(...edges!.samples.subarray(0, 40_000))).toBeGreaterThan(100);
  });

  test("says how it is used", async () => {
    const { code, stdout } = await run(["--help"]);
    expect(stdout).toMatch(/^Usage: npm start -- \[IN\.png OUT\.png\] \[options\]/);
    expect(code).toBe(0);
  });

  test("Ctrl-C ends it with 130, and nothing is written", async () => {
    writeFileSync(at("in.png"), pictureFile(makePicture(1500, 1000, 0, 8)));
    const ending = await run(["in.png", "out.png", "--sigma", "25"], (stdout, kill) => {
      if (stdout.includes("Adapter:")) kill("SIGINT");
    });
    expect(ending).toMatchObject({
      code: 130,
      stderr: "moorage: interrupted; nothing was written\n",
    });
    expect(readdirSync(folder)).toEqual(["in.png"]);
  });
});

describe("bad input is one clear line, and leaves nothing behind", () => {
  const good = ["in.png", "out.png"];
  const cases: readonly (readonly [what: string, args: string[], message: RegExp, code?: 2])[] = [
    ["a missing file", ["none.png", "out.png"], /^none\.png: there is no such file/],
    ["a directory", ["folder", "out.png"], /^folder: is a directory/],
    ["no PNG", ["text.png", "out.png"], /^text\.png: not a PNG/],
    ["an empty file", ["empty.png", "out.png"], /^empty\.png: the file is empty, not a PNG/],
    ["a truncated PNG", ["cut.png", "out.png"], /^cut\.png: the PNG is cut off/],
    ["an output that is a directory", ["in.png", "folder"], /^folder: is a directory/],
    [
      "an output in no folder",
      ["in.png", "no/out.png"],
      /^no\/out\.png: its folder does not exist/,
    ],
    ["an output in a file", ["in.png", "text.png/out.png"], /^text\.png\/out\.png: its folder is/],
    [
      "the input as output",
      ["in.png", "./in.png"],
      /^\.\/in\.png: would be written over "in\.png"/,
    ],
    ["figures over the output", [...good, "--json", "out.png"], /^out\.png: would be written over/],
    ["figures in no folder", [...good, "--json", "no/f.json"], /^no\/f\.json: its folder/],
    ["sigma 0", [...good, "--sigma", "0"], /^--sigma is "0"; it must be a number above 0/],
    ["sigma below 0", [...good, "--sigma", "-1"], /^--sigma is "-1"/],
    ["sigma that is no number", [...good, "--sigma", "wide"], /^--sigma is "wide"/],
    ["sigma NaN", [...good, "--sigma=NaN"], /^--sigma is "NaN"/],
    ["a huge sigma", [...good, "--sigma", "1e9"], /^sigma is 1000000000, .* at most 333/],
    ["an endless sigma", [...good, "--sigma", "Infinity"], /^sigma is Infinity, /],
    ["a budget of no number", [...good, "--budget-mib", "x"], /^--budget-mib is "x"/],
    ["a budget below 0", [...good, "--budget-mib", "-4"], /^--budget-mib is "-4"/],
    [
      "a budget too small for one strip",
      [...good, "--budget-mib", "0.5"],
      /^a budget of 512 KiB is too small: .* the smallest budget that works is 2 MiB$/,
    ],
    ["one file", ["in.png"], /^"in\.png" has no output file/, 2],
    ["three files", ["a", "b", "c"], /^3 files were named/, 2],
    ["an unknown option", [...good, "--fast"], /^Unknown option '--fast'/, 2],
    ["an option without its value", [...good, "--json"], /^Option '--json/, 2],
    ["an empty name", ["in.png", ""], /^OUT\.png is empty/, 2],
  ];

  test.for(cases)("%s", async ([, args, message, exitCode = 1]) => {
    mkdirSync(at("folder"));
    writeFileSync(at("text.png"), "GIF89a, not a PNG\n");
    writeFileSync(at("empty.png"), "");
    writeFileSync(at("cut.png"), pictureFile(picture).subarray(0, 5000));
    const before = readdirSync(folder);
    const { code, stdout, stderr } = await run(args);
    const [line = "", ...rest] = stderr.split("\n");
    expect(line).toMatch(/^moorage: /);
    expect(line.slice("moorage: ".length)).toMatch(message);
    expect(rest).toEqual([""]);
    expect(stdout).toBe("");
    expect(code).toBe(exitCode);
    expect(readdirSync(folder)).toEqual(before);
    expect(readdirSync(at("folder"))).toEqual([]);
  });

  const endless = "/dev/full";
  test.skipIf(!existsSync(endless))("a device as output is not replaced", async () => {
    const { code, stderr } = await run(["in.png", endless]);
    expect(stderr).toMatch(/^moorage: \/dev\/full: is no regular file/);
    expect(code).toBe(1);
  });

  test("an adapter that is none", async () => {
    const before = process.env["MOORAGE_ADAPTER"];
    process.env["MOORAGE_ADAPTER"] = "cuda";
    try {
      const { code, stderr } = await run(good);
      expect(stderr).toMatch(/^moorage: MOORAGE_ADAPTER is "cuda"; .*\n$/);
      expect(code).toBe(1);
    } finally {
      if (before === undefined) delete process.env["MOORAGE_ADAPTER"];
      else process.env["MOORAGE_ADAPTER"] = before;
    }
    expect(readdirSync(folder)).toEqual(["in.png"]);
  });

  test("a picture with damaged pixels", async () => {
    const file = encodePng(picture.spec);
    file.fill(0, 200, 400);
    writeFileSync(at("in.png"), file);
    const { code, stderr } = await run(good);
    expect(stderr).toMatch(/^moorage: in\.png: the PNG is damaged: .*\n$/);
    expect(code).toBe(1);
  });
});
