/** What a read that failed rejects with. */

import { DeviceError, MoorageError } from "../../host/errors.ts";
import type { CommandStream } from "../stream/command-stream.ts";

/** The loss of the device, where it is lost; else the cause, where it is an error of Moorage's. */
export function readError(stream: CommandStream, label: string, cause: unknown): MoorageError {
  try {
    stream.requireDevice();
  } catch (lost) {
    if (lost instanceof MoorageError) return lost;
  }
  if (cause instanceof MoorageError) return cause;
  return new DeviceError("DEVICE_ERROR", `"${label}" could not be read back`, { label, cause });
}
