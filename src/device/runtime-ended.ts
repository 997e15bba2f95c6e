/** What every use of a runtime throws once it was disposed. */

import { DeviceError } from "../host/errors.ts";

export function disposedError(label: string): DeviceError {
  return new DeviceError(
    "RUNTIME_DISPOSED",
    `runtime "${label}" was disposed; dispose it after its last use, or create another`,
    { label },
  );
}
