/** Errors as values, so that a test can look at all of an error and not only at its message. */

import { MoorageError } from "moorage";
import type { ErrorCode } from "moorage";

/** The Moorage error that `action` throws; fails where it throws nothing or anything else. */
export function caught(action: () => unknown): MoorageError {
  try {
    action();
  } catch (error) {
    return asMoorage(error);
  }
  throw new Error("nothing was thrown");
}

/** The Moorage error that a promise rejects with. */
export async function rejected(promise: Promise<unknown>): Promise<MoorageError> {
  try {
    await promise;
  } catch (error) {
    return asMoorage(error);
  }
  throw new Error("nothing was rejected");
}

/** The code of the error that `action` throws. */
export function codeOf(action: () => unknown): ErrorCode {
  return caught(action).code;
}

/** The code of the error that a promise rejects with. */
export async function codeOfRejection(promise: Promise<unknown>): Promise<ErrorCode> {
  return (await rejected(promise)).code;
}

function asMoorage(error: unknown): MoorageError {
  if (error instanceof MoorageError) return error;
  throw new Error(`not an error of Moorage: ${String(error)}`, { cause: error });
}
