/** What ran the bench. */

import { cpus, totalmem } from "node:os";

import type { MachineInfo } from "../core/results.ts";

export function describeMachine(
  run: Pick<MachineInfo, "seed" | "quick" | "repetitionCount" | "seconds">,
): MachineInfo {
  const processors = cpus();
  return {
    platform: `${process.platform}-${process.arch}`,
    processor: processors[0]?.model.trim() ?? "unknown",
    coreCount: processors.length,
    memoryBytes: totalmem(),
    engine: `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    date: new Date().toISOString(),
    ...run,
  };
}
