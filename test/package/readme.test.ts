/** What the README says is true: its programs compile and run in a project that installed the package. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { consumerTsconfig, installConsumer, program } from "../support/consumer.ts";
import type { Consumer } from "../support/consumer.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const scripts = (
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  }
).scripts;

/** Fenced blocks of a language, in order. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!);
}

const programs = blocks("ts");
const [example, tryFinally, hostTensors, moving, shortage, kernels, playwrightConfig] = programs;

let consumer: Consumer;
beforeAll(() => {
  consumer = installConsumer();
  consumer.write("tsconfig.json", consumerTsconfig);
  consumer.write("example.ts", example!);
  consumer.write("try-finally.ts", tryFinally!);
  consumer.write("host-tensors.ts", hostTensors!);
  consumer.write("moving.ts", moving!);
  consumer.write("shortage.ts", shortage!);
  consumer.write("kernels.ts", kernels!);
}, 120_000);
afterAll(() => consumer.remove());

describe("the README", () => {
  test("has the programs that are tested here", () => {
    expect(programs).toHaveLength(7);
    expect(example).toContain("await using rt");
    expect(tryFinally).toContain("finally");
    expect(hostTensors).toContain("hostTensor(");
    expect(moving).toContain("readTo(");
    expect(shortage).toContain("onPressure(");
    expect(kernels).toContain("defineKernel");
    expect(playwrightConfig).toContain("npmChromium");
  });

  test("its programs compile in a project without other types, declarations of the package included", () => {
    const { status, output } = consumer.run([program("typescript/bin/tsc"), "-p", "tsconfig.json"]);
    expect(output).toBe("");
    expect(status).toBe(0);
  });

  test("its example runs, and ends by itself with nothing left", () => {
    const { status, output } = consumer.run(["out/example.js"]);
    expect(status, output).toBe(0);
    expect(output).toMatch(/^\[[\s\d,]+\]/);
    expect(output).toContain("device heap");
    expect(output).not.toContain("never disposed");
  });

  test("the same with try and finally", () => {
    const { status, output } = consumer.run(["out/try-finally.js"]);
    expect(output).toBe("30\n");
    expect(status).toBe(0);
  });

  test("its tensors on the host are what the comments say", () => {
    const { status, output } = consumer.run(["out/host-tensors.js"]);
    expect(output).toBe("6\n[[1,3],[4,6]]\n");
    expect(status).toBe(0);
  });

  test("its program for data on its way prints what the comments say", () => {
    const { status, output } = consumer.run(["out/moving.js"]);
    const lines = ["[[1,3,5],[2,4,6]]", "128", "waiting 33554432", "33554432 done", ""];
    expect(output).toBe(lines.join("\n"));
    expect(status).toBe(0);
  });

  test("its program for a shortage of memory prints what the comments say", () => {
    const { status, output } = consumer.run(["out/shortage.js"]);
    expect(output).toBe("[ 2, 64 ] true\n4194304\n");
    expect(status).toBe(0);
  });

  test("its kernels give what the comment says", () => {
    const { status, output } = consumer.run(["out/kernels.js"]);
    expect(output).toBe("[[2,5],[5,8]]\n");
    expect(status).toBe(0);
  });

  test("its commands exist", () => {
    const commands = blocks("sh").join("\n");
    for (const [, name] of commands.matchAll(/^npm (?:run )?(\w+)(?= |$)/gm)) {
      if (name === "install") continue;
      expect(Object.keys(scripts), `npm ${name}`).toContain(name);
    }
    expect(commands).toContain("npm start");
    expect(commands).toContain("npm test");
    const { status, output } = consumer.run([
      join("node_modules", "moorage", "moorage.mjs"),
      "doctor",
    ]);
    expect(status, output).toBe(0);
  });

  test("the files that it names exist", () => {
    for (const [, file] of readme.matchAll(
      /(?:\]\(|^)((?:src|demo|bench)\/[\w./-]+?)(?:\)| {2,})/gm,
    )) {
      expect(() => readFileSync(join(root, file!)), file).not.toThrow(/ENOENT/);
    }
  });
});
