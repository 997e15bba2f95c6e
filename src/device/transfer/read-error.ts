/** What a transfer that failed rejects with. */

import { DeviceError, MoorageError } from "../../host/errors.ts";
import { afterThisTask } from "../stream/after-task.ts";
import type { CommandStream } from "../stream/command-stream.ts";

/** The loss of the device, where it is lost; else the cause, where it is an error of Moorage's. */
export async function readError(
  stream: CommandStream,
  label: string,
  cause: unknown,
): Promise<MoorageError> {
  const error = await lossOr(stream, cause);
  if (error instanceof MoorageError) return error;
  return new DeviceError("DEVICE_ERROR", `"${label}" could not be read back`, { label, cause });
}

/**
 * Why no work is taken any more, where that is so; else the error itself. What the platform refused gets a
 * task's time first: a lost device rejects what is pending, and takes memory away, before it tells anybody.
 */
export async function lossOr(stream: CommandStream, error: unknown): Promise<unknown> {
  const isPlatform = !(error instanceof MoorageError) || error.code === "NOT_MAPPED";
  if (isPlatform && stream.loss === null) await new Promise<void>(afterThisTask);
  try {
    stream.requireDevice();
  } catch (reason) {
    return reason;
  }
  return error;
}
