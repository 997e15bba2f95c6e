// The adapters of this machine that tests run on: SwiftShader, where npm carries it, and the system's own.

import { runNode } from "../setup.mjs";

/**
 * Each with the choice that opens it and what it is; never none, because tests say best what is missing.
 * And what was looked for and is not there.
 */
export async function findAdapters() {
  const software = await adapterFor("software");
  const system = await adapterFor("system");
  if (software.source !== "npm-software") {
    const problem = software.problem ?? "npm carries it for Linux on x64 only";
    return { adapters: [of("auto", system)], missing: [`SwiftShader: ${problem}`] };
  }
  const adapters = [of("software", software)];
  if (system.source === "system")
    return { adapters: [...adapters, of("system", system)], missing: [] };
  return { adapters, missing: [`a second adapter: ${shortly(system.problem)}`] };
}

function of(choice, { source, description = "no adapter" }) {
  return { choice, source, description };
}

/** What `openAdapter` gives for a choice, asked in a process of its own: drivers can crash. */
async function adapterFor(choice) {
  const script =
    `import { openAdapter } from "./dist/dawn.js"; let answer;` +
    `try { const { source, description } = await openAdapter({ adapter: "${choice}" });` +
    `answer = { source, description } } catch (error) { answer = { problem: error.message } }` +
    `process.stdout.write("\\nanswer:" + JSON.stringify(answer), () => process.exit())`;
  const { output } = await runNode(["--input-type=module", "-e", script], { capture: true });
  const answer = /^answer:(.*)$/m.exec(output);
  return answer === null
    ? { problem: `asking for it ended the process: ${output}` }
    : JSON.parse(answer[1]);
}

/** The part of the runtime's "no adapter" error that says what was tried. */
function shortly(problem = "the system's is the same as npm's") {
  return /Tried: (.*?)\. /.exec(problem)?.[1] ?? problem;
}
