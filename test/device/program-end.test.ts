/** How a program ends that uses the built package: by itself after dispose(), and told where it forgot. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const library = new URL("../../dist/node.js", import.meta.url).href;

interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** From the program's last line of output to its end. */
  readonly endMs: number;
}

/** Runs a program to its end; one that has not ended after 15 s is killed. */
function run(body: string): Promise<Ending> {
  const text = `import { createRuntime } from ${JSON.stringify(library)};\n${body}`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", text], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 15_000,
    killSignal: "SIGKILL",
  });
  let [stdout, stderr, last] = ["", "", Date.now()];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    last = Date.now();
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  return new Promise((resolve) => {
    child.on("close", (code, signal) =>
      resolve({ code, signal, stdout, stderr: withoutDawn(stderr), endMs: Date.now() - last }),
    );
  });
}

/** Dawn's own remarks about the adapter are not ours. */
function withoutDawn(text: string): string {
  return text
    .split("\n")
    .filter((line) => !line.startsWith("Warning: max"))
    .join("\n");
}

const open = `const rt = await createRuntime({ label: "main" });
const x = rt.full([1000], 2, { dtype: "float32", label: "forgotten" });
const y = rt.sum(x, { label: "total" });
console.log(await y.item());
`;

test("a program that disposes its runtime ends by itself, at once and silently", async () => {
  const ended = await run(
    `${open} x.dispose(); y.dispose(); await rt.dispose(); console.log("end");`,
  );
  expect(ended).toMatchObject({ code: 0, signal: null, stdout: "2000\nend\n", stderr: "" });
  expect(ended.endMs).toBeLessThan(3000);
});

test("so does one with several runtimes, one after the other and at once, some of them unused", async () => {
  const ended = await run(`for (let n = 0; n < 3; n++) {
  const rt = await createRuntime();
  if (n > 0) await rt.scope((s) => s.sum(s.full([n], 1, { dtype: "float32" })).item());
  await rt.dispose();
}
const pair = await Promise.all([createRuntime(), createRuntime()]);
await Promise.all(pair.map((rt) => rt.dispose()));
console.log("end");`);
  expect(ended).toMatchObject({ code: 0, signal: null, stdout: "end\n", stderr: "" });
  expect(ended.endMs).toBeLessThan(3000);
});

test("one that forgets is told, with what it left, and ends all the same", async () => {
  const ended = await run(`${open} y.dispose();`);
  expect(ended).toMatchObject({ code: 0, signal: null, stdout: "2000\n" });
  expect(ended.stderr).toContain(
    'moorage: runtime "main" was never disposed, with 1 live: "forgotten"',
  );
  expect(ended.stderr).toContain("await using");
});

test("what was never disposed is named when the runtime is", async () => {
  const ended = await run(`${open} await rt.dispose(); console.log("end");`);
  expect(ended).toMatchObject({ code: 0, signal: null, stdout: "2000\nend\n" });
  expect(ended.stderr).toContain(
    '2 never disposed: "forgotten" (4000 bytes, device heap), "total" (4 bytes, device heap)',
  );
});

test("one that throws fails with its own error, and is told too", async () => {
  const ended = await run(`${open} throw new Error("its own");`);
  expect(ended).toMatchObject({ code: 1, signal: null });
  expect(ended.stderr).toContain("Error: its own");
  expect(ended.stderr).toContain('runtime "main" was never disposed');
});

test("one whose kernel fails unread is told, and ends", async () => {
  const ended = await run(`const { defineElementwise } = await import(${JSON.stringify(library)});
${open} const bad = rt.map(defineElementwise({ label: "bad", inputs: ["x"], output: "float32", expression: "x + nothing" }), [x]);
await rt.sync(); bad.dispose(); x.dispose(); y.dispose(); await rt.dispose(); console.log("end");`);
  expect(ended).toMatchObject({ code: 0, signal: null, stdout: "2000\nend\n" });
  expect(ended.stderr).toContain('kernel "bad" does not compile');
});
