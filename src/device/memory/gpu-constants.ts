/**
 * WebGPU's flags by value. The globals that carry them are missing where a device came from
 * somewhere else (Node without them installed, a worker's transfer); the numbers are the standard's.
 */

export const bufferUsage = {
  mapRead: 0x0001,
  mapWrite: 0x0002,
  copySource: 0x0004,
  copyTarget: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
} as const;

export const computeStage = 0x4;
