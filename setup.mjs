// Sets the project up, so that `npm start` and `npm test` work as the first command after a clone.
//
//   1. ensureInstalled:      node_modules is what package-lock.json says, else `npm ci`
//   2. ensureBuilt:          dist/, demo/.out/ and bench/.out/ are what the sources say, else `tsc`
//   3. ensurePeersInstalled: the packages that the bench compares with; they are large, and only the
//                            bench with its peers, its tests and the type check ask for them
//
// Plain JavaScript without dependencies: it runs before there are any.

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The folder of the checkout. */
export const root = dirname(fileURLToPath(import.meta.url));

/** Where the packages are that only the bench needs; see {@link ensurePeersInstalled}. */
const peersFolder = join(root, "bench", "peers");
const stamps = join(root, "node_modules", ".cache", "moorage");

/** Installs the dependencies where they are missing or not those of package-lock.json. */
export async function ensureInstalled() {
  requireNode();
  await installIn(root, "Installing dependencies (npm ci; about a minute the first time)");
}

/**
 * Installs the packages of bench/peers, and links them to bench/node_modules, where the bench's
 * sources find them. A package.json in bench/ itself would take that folder out of the package
 * `moorage`, and the bench imports that by its name.
 */
export async function ensurePeersInstalled() {
  await installIn(peersFolder, "Installing what the bench compares with (npm ci; some 200 MB)");
  const link = join(root, "bench", "node_modules");
  if (existsSync(link)) return;
  rmSync(link, { force: true });
  symlinkSync(join("peers", "node_modules"), link, "junction");
}

/** Installs the packages of test/mutation. They use the test runner of the checkout. */
export async function ensureMutationInstalled() {
  await installIn(join(root, "test", "mutation"), "Installing the mutation test (npm ci)");
}

async function installIn(folder, what) {
  const mark = join(folder, "node_modules", ".moorage-installed");
  const wanted = installKey(folder);
  if (readText(mark) === wanted) return;
  if (!matchesLockfile(folder)) await install(folder, what);
  writeFileSync(mark, wanted);
}

/**
 * Compiles the library, the main job and the bench where a source is newer than what was made from
 * it. The bench is not type-checked here: its peers' declarations are installed only where needed.
 */
export async function ensureBuilt() {
  const shared = ["tsconfig.json", "package-lock.json"];
  const library = fingerprint(["src", "tsconfig.build.json", ...shared]);
  await build("dist", "tsconfig.build.json", "src", library);
  for (const folder of ["demo", "bench"]) {
    const sources = fingerprint([folder, ...shared]);
    await build(`${folder}/.out`, `${folder}/tsconfig.json`, folder, `${library}-${sources}`);
  }
}

/**
 * Runs a Node script to its end, in a process group of its own that ends with this process.
 *
 * @param {string[]} args - what follows `node` on the command line
 * @param {{ env?: Record<string, string | undefined>, capture?: boolean, cwd?: string }} [options]
 * @returns {Promise<{ code: number, output: string }>} `output` is empty unless it is captured
 */
export function runNode(args, options) {
  return run(process.execPath, args, options);
}

/** Ends this process with a message and no stack trace. */
export function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function requireNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`Moorage needs Node 20.19 or newer; this is Node ${process.versions.node}.`);
  }
}

async function install(folder, what) {
  say(what);
  const start = Date.now();
  const args = ["ci", "--no-audit", "--no-fund"];
  const options = { capture: true, cwd: folder };
  const npm = process.env.npm_execpath;
  const { code, output } =
    npm !== undefined && /\.c?js$/.test(npm)
      ? await runNode([npm, ...args], options)
      : await run("npm", args, { ...options, shell: process.platform === "win32" });
  if (code === 127)
    fail("npm was not found. Install Node together with npm, or run `npm ci` yourself.");
  if (code !== 0) {
    fail(`${output.trimEnd()}\nnpm ci failed with exit code ${code}; what it said is above.`);
  }
  sayMore(`Installed in ${seconds(start)}`);
}

async function build(output, project, source, wanted) {
  const stamp = join(stamps, `${output.replace(/\W+/g, "-")}.stamp`);
  if (existsSync(join(root, output)) && readText(stamp) === wanted) return;
  const start = Date.now();
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const result = await runNode([compiler, "-p", join(root, project)], { capture: true });
  if (result.code !== 0) fail(`${result.output.trimEnd()}\nCompiling ${source}/ failed.`);
  removeOrphans(join(root, output), join(root, source));
  mkdirSync(stamps, { recursive: true });
  writeFileSync(stamp, wanted);
  sayMore(`Compiled ${source}/ to ${output}/ in ${seconds(start)}`);
}

/** Removes outputs whose source is gone: they would be packed, and imported by mistake. */
function removeOrphans(output, source) {
  for (const file of filesIn(output, true)) {
    const name = relative(output, file).replace(/(\.d\.ts|\.js)$/, ".ts");
    if (!existsSync(join(source, name))) rmSync(file);
  }
}

/** Changes with the lockfile and with the machine that native packages were chosen for. */
function installKey(folder) {
  const lock = createHash("sha256").update(readFileSync(join(folder, "package-lock.json")));
  return `${lock.digest("hex")} ${process.platform}-${process.arch}`;
}

/** Whether somebody who ran npm by hand has installed just what the lockfile says. */
function matchesLockfile(folder) {
  const read = (name) => JSON.parse(readText(join(folder, name)) || "{}").packages ?? {};
  const present = read("node_modules/.package-lock.json");
  return (
    Object.entries(read("package-lock.json")).every(
      ([path, { version, optional, peer }]) =>
        path === "" || present[path]?.version === version || ((optional || peer) && !present[path]),
    ) && Object.keys(present).length > 0
  );
}

/** A digest of the names, sizes and times of the files under some paths of the checkout. */
function fingerprint(paths) {
  const hash = createHash("sha256");
  for (const path of paths) {
    const full = join(root, path);
    const files = statSync(full).isDirectory() ? filesIn(full).filter(isSource) : [full];
    for (const file of files.sort()) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${relative(root, file)} ${size} ${mtimeMs}\n`);
    }
  }
  return hash.digest("hex");
}

function isSource(file) {
  return file.endsWith(".ts") || file.endsWith("tsconfig.json");
}

function filesIn(folder, hidden = false) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.name === "node_modules") return [];
    if (entry.isDirectory())
      return hidden || !entry.name.startsWith(".") ? filesIn(path, hidden) : [];
    return [path];
  });
}

function run(command, args, { env = {}, capture = false, shell = false, cwd = root } = {}) {
  return new Promise((resolve) => {
    // A group of its own, so that the child's own children can be ended together with it.
    const grouped = process.platform !== "win32";
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ["ignore", capture ? "pipe" : "inherit", capture ? "pipe" : "inherit"],
      detached: grouped,
      shell,
    });
    const signals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
    let interrupted;
    const kill = (signal) => {
      try {
        if (grouped && child.pid !== undefined) process.kill(-child.pid, signal);
        else child.kill(signal);
      } catch {
        // It has ended by itself.
      }
    };
    const interrupt = (signal) => {
      interrupted = signals[signal];
      kill("SIGTERM");
      // npm gets a moment to leave things tidy.
      setTimeout(() => {
        kill("SIGKILL");
        process.exit(interrupted);
      }, 3000);
    };
    for (const signal of Object.keys(signals)) process.on(signal, interrupt);

    let output = "";
    const collect = (chunk) => (output += chunk);
    if (capture)
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", collect);
    const done = (code) => {
      if (interrupted !== undefined) process.exit(interrupted);
      for (const signal of Object.keys(signals)) process.off(signal, interrupt);
      resolve({ code, output });
    };
    child.on("error", (error) => done(error.code === "ENOENT" ? 127 : 1));
    child.on("close", (code) => done(code ?? 1));
  });
}

/** Progress goes to stderr: what the command prints on stdout stays its own. */
function say(line) {
  process.stderr.write(`${line}\n`);
}

/** What only somebody who watches wants to read. */
function sayMore(line) {
  if (process.stderr.isTTY) say(line);
}

function seconds(start) {
  return `${((Date.now() - start) / 1000).toFixed(1)} s`;
}

function readText(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Checks the types of everything, the bench's peers included. */
async function checkTypes() {
  await ensurePeersInstalled();
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { code } = await runNode([compiler, "-p", join(root, "tsconfig.json")]);
  process.exitCode = code;
}

// npm runs `node setup.mjs build` before packing, and `types` for `npm run types`.
if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [task] = process.argv.slice(2);
  if (task === "types") {
    await ensureInstalled();
    await checkTypes();
  } else if (task === "build") {
    await ensureInstalled();
    await ensureBuilt();
  }
}
