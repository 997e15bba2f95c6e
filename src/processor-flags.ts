/** The processor's feature flags, from whatever the system tells Node about it. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { hasWasmSimd, simdAlignmentOf } from "./host/simd-alignment.ts";
import type { ProcessorFacts, SimdAlignment } from "./host/simd-alignment.ts";

/** The `flags` (x86) or `Features` (Arm) of the first processor in the text of `/proc/cpuinfo`. */
export function flagsOfCpuinfo(text: string): ReadonlySet<string> | undefined {
  const found = /^(?:flags|Features)\s*:(.*)$/m.exec(text);
  return found === null ? undefined : wordsOf(found[1]!);
}

/**
 * The words of `sysctl -n machdep.cpu.features machdep.cpu.leaf7_features`. macOS names AVX `AVX1.0`,
 * and Linux's spelling is what the rest of this package asks for.
 */
export function flagsOfSysctl(text: string): ReadonlySet<string> {
  return new Set([...wordsOf(text)].map((word) => (word === "avx1.0" ? "avx" : word)));
}

function wordsOf(text: string): Set<string> {
  return new Set(text.trim().toLowerCase().split(/\s+/));
}

/** On Windows, and wherever the system does not answer, the flags stay unknown. */
export function processorFacts(platform: string = process.platform): ProcessorFacts {
  const known = { architecture: process.arch, hasWasmSimd: hasWasmSimd() };
  try {
    if (platform === "linux") {
      const flags = flagsOfCpuinfo(readFileSync("/proc/cpuinfo", "utf8"));
      if (flags !== undefined) return { ...known, flags, flagsFrom: "/proc/cpuinfo" };
    } else if (platform === "darwin" && process.arch === "x64") {
      const names = ["machdep.cpu.features", "machdep.cpu.leaf7_features"];
      const text = execFileSync("/usr/sbin/sysctl", ["-n", ...names], { encoding: "utf8" });
      return { ...known, flags: flagsOfSysctl(text), flagsFrom: "sysctl machdep.cpu" };
    }
  } catch {
    // A sandbox may hide both; the architecture alone says enough to be right, if not the best.
  }
  return known;
}

let detected: SimdAlignment | undefined;

/** What this machine's vectors want, in bytes, and which fact says so. Asked of the system once. */
export function detectSimdAlignment(): SimdAlignment {
  detected ??= simdAlignmentOf(processorFacts());
  return detected;
}
