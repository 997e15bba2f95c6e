/** What a runtime tells, and whom, where nobody has asked to be told. */

import type { MoorageError } from "../host/errors.ts";
import type { LiveAllocation } from "./live-allocations.ts";

/** A callback whose own failure ends no operation of the runtime: it is thrown in a task apart. */
export function guarded(callback: (error: MoorageError) => void): (error: MoorageError) => void {
  return (error) => {
    try {
      callback(error);
    } catch (failure) {
      queueMicrotask(() => {
        throw failure;
      });
    }
  };
}

// The defaults for what a program must not miss; each can be replaced.
export function logError(error: MoorageError): void {
  console.error(error);
}

export function warnOfLeaks(leaks: readonly LiveAllocation[]): void {
  const list = leaks.map(
    ({ label, region, byteLength }) => `"${label}" (${byteLength} bytes, ${region})`,
  );
  console.warn(`moorage: ${leaks.length} never disposed: ${list.join(", ")}`);
}
