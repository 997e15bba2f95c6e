/** What a runtime may take, and what it takes where nothing is said. */

import { InvalidArgumentError } from "../host/errors.ts";
import { MiB } from "../host/units.ts";
import { parameterRingBytes } from "./stream/parameter-ring.ts";

/** Bounds in bytes; every runtime has all of them. */
export interface Budget {
  /** Slabs: tensors and scratch on the device. Default 2 GiB. */
  readonly deviceBytes: number;
  /**
   * A new slab past this first costs what is only cached, and listeners to `onPressure` are told.
   * Default: `deviceBytes`, which nothing passes.
   */
  readonly deviceSoftBytes: number;
  /** Mapped staging buffers. Default 512 MiB. */
  readonly pinnedBytes: number;
  /**
   * A new pinned tensor past this first costs what is pooled, and listeners to `onPressure` are told.
   * Default: `pinnedBytes`, which nothing passes.
   */
  readonly pinnedSoftBytes: number;
  /** Empty slabs and pooled staging beyond this go back at the end of the task. Default 256 MiB. */
  readonly cachedBytes: number;
  /** Host pages of scopes. Default 1 GiB. */
  readonly hotBytes: number;
  /** The general heap on the host. Default 1 GiB. */
  readonly generalBytes: number;
  /** Every `GPUBuffer` of the runtime together. Default: the sum of device and pinned, and 128 KiB. */
  readonly totalBytes: number;
}

/** The budget with its defaults; throws `INVALID_ARGUMENT` for options that cannot be right. */
export function checkedBudget({
  budget = {},
  slabBytes = 1,
}: {
  readonly budget?: Partial<Budget>;
  readonly slabBytes?: number;
}): Budget {
  if (!(Number.isSafeInteger(slabBytes) && slabBytes > 0)) {
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `slabBytes is ${slabBytes}; a slab has a positive integer of bytes`,
    );
  }
  const names = [
    "deviceBytes",
    "deviceSoftBytes",
    "cachedBytes",
    "pinnedBytes",
    "pinnedSoftBytes",
    "hotBytes",
    "generalBytes",
    "totalBytes",
  ];
  for (const [name, bytes] of Object.entries(budget)) {
    if (!names.includes(name)) {
      throw new InvalidArgumentError(
        "INVALID_ARGUMENT",
        `budget has no ${name}; it has ${names.join(", ")}`,
      );
    }
    if (bytes === undefined || (Number.isFinite(bytes) && bytes > 0)) continue;
    throw new InvalidArgumentError(
      "INVALID_ARGUMENT",
      `budget.${name} is ${bytes}; a budget is a positive number of bytes`,
    );
  }
  const { totalBytes = Infinity } = budget;
  // Slabs must leave room for staging: where only the total is given, a quarter of it.
  const pinnedBytes = budget.pinnedBytes ?? Math.min(512 * MiB, Math.floor(totalBytes / 4));
  const forSlabs = Math.max(1, totalBytes - pinnedBytes - parameterRingBytes);
  const deviceBytes = budget.deviceBytes ?? Math.min(2048 * MiB, forSlabs);
  return {
    deviceBytes,
    deviceSoftBytes: Math.min(budget.deviceSoftBytes ?? deviceBytes, deviceBytes),
    pinnedBytes,
    pinnedSoftBytes: Math.min(budget.pinnedSoftBytes ?? pinnedBytes, pinnedBytes),
    cachedBytes: budget.cachedBytes ?? 256 * MiB,
    hotBytes: budget.hotBytes ?? 1024 * MiB,
    generalBytes: budget.generalBytes ?? 1024 * MiB,
    totalBytes: Math.min(totalBytes, deviceBytes + pinnedBytes + parameterRingBytes),
  };
}
