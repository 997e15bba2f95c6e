/** What the vectors of a machine want, from recorded words of real systems. */

import { expect, test } from "vitest";

import { bindingAlignment } from "../../src/host/alignment.ts";
import {
  detectSimdAlignment,
  hasWasmSimd,
  simdAlignmentOf,
} from "../../src/host/simd-alignment.ts";
import type { ProcessorFacts } from "../../src/host/simd-alignment.ts";
import {
  detectSimdAlignment as detectInNode,
  flagsOfCpuinfo,
  flagsOfSysctl,
  processorFacts,
} from "../../src/processor-flags.ts";

const cpuinfo = (flags: string): string =>
  `processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: ${flags}\nbugs\t\t: spectre_v1\n\nprocessor\t: 1\n`;

const x64 = (flags: string): ProcessorFacts => ({
  architecture: "x64",
  flags: flagsOfCpuinfo(cpuinfo(flags))!,
  flagsFrom: "/proc/cpuinfo",
  hasWasmSimd: true,
});

const mac = {
  architecture: "x64",
  flags: flagsOfSysctl("FPU VME SSE SSE2 SSE4.2 AVX1.0\nRDWRFSGS BMI1 AVX2 AVX512F\n"),
  flagsFrom: "sysctl machdep.cpu",
  hasWasmSimd: true,
};

test.each<[string, ProcessorFacts, number, string]>([
  ["a server with AVX-512", x64("fpu sse sse2 avx avx2 avx512f avx512dq"), 64, "avx512f"],
  ["a desktop with AVX2", x64("fpu sse sse2 ssse3 avx avx2 fma"), 32, "avx in /proc/cpuinfo"],
  ["an old x86-64", x64("fpu sse sse2 ssse3 sse4_1"), 16, "no avx"],
  ["x86-64 that tells nothing", { architecture: "x64", hasWasmSimd: false }, 16, "SSE2"],
  ["an Intel Mac", mac, 64, "sysctl"],
  ["an Intel Mac of 2012", { ...mac, flags: flagsOfSysctl("SSE2 AVX1.0\n\n") }, 32, "avx"],
  [
    "32-bit x86 without SSE2",
    { architecture: "ia32", flags: new Set(["fpu"]), hasWasmSimd: false },
    8,
    "no vectors",
  ],
  ["AArch64", { architecture: "arm64", hasWasmSimd: true }, 16, "NEON"],
  ["a browser with WebAssembly SIMD", { hasWasmSimd: true }, 16, "WebAssembly"],
  ["a browser without", { hasWasmSimd: false }, 8, "no vectors"],
  ["RISC-V without", { architecture: "riscv64", hasWasmSimd: false }, 8, "no vectors"],
])("%s", (_, facts, bytes, source) => {
  const found = simdAlignmentOf(facts);
  expect(found.bytes).toBe(bytes);
  expect(found.source).toContain(source);
});

test("the flags are the first processor's; AArch64 calls them features", () => {
  expect(flagsOfCpuinfo(cpuinfo("fpu avx"))).toEqual(new Set(["fpu", "avx"]));
  expect(flagsOfCpuinfo("processor: 0\nFeatures\t: fp asimd\n")).toEqual(new Set(["fp", "asimd"]));
  expect(flagsOfCpuinfo("nothing of the kind")).toBeUndefined();
});

test("this machine is asked, and answers", () => {
  expect(hasWasmSimd()).toBe(true);
  expect(detectSimdAlignment()).toEqual({ bytes: 16, source: "WebAssembly SIMD" });
  expect(detectInNode()).toEqual(simdAlignmentOf(processorFacts()));
  expect(detectInNode().bytes).toBeGreaterThanOrEqual(16);
  expect(processorFacts("win32")).toEqual({ architecture: process.arch, hasWasmSimd: true });
});

test("a device's binding alignment is the larger of its two limits", () => {
  const limits = { minStorageBufferOffsetAlignment: 32, minUniformBufferOffsetAlignment: 256 };
  expect(bindingAlignment(limits)).toBe(256);
});
