/** The cases that no peer has anything for, and why, as their rows say it. */

import { NotSupportedError } from "../core/contract.ts";

const hostMemory = "it has no memory of its own on the host";

const gaps: Readonly<Record<string, string>> = {
  "bump allocation": hostMemory,
  "pinned allocation": hostMemory,
  "copy into pinned memory": hostMemory,
  "general heap allocation": hostMemory,
  "array in an arena": hostMemory,
  "array on the general heap": hostMemory,
  "element access": hostMemory,
  "upload into a tensor": "a tensor cannot be written again",
  "upload through pinned memory": "it takes no mapped memory",
  "read back into an array": "a read always gives a new array",
};

/** What a peer says to a case that it has no implementation of. */
export function gapOf(name: string, own: Readonly<Record<string, string>> = {}): NotSupportedError {
  return new NotSupportedError(own[name] ?? gaps[name] ?? `nobody has written ${name} with it yet`);
}
