/**
 * Which alignment the vector instructions of this machine want. JavaScript cannot ask the processor:
 * what can be known is what the system tells (Node reads it) and whether WebAssembly has its SIMD.
 */

/** What is known of the machine. */
export interface ProcessorFacts {
  /** As `process.arch` says it: `"x64"`, `"arm64"`; undefined in a browser. */
  readonly architecture?: string;
  /** The processor's feature flags in lower case, as the system names them; undefined where it names none. */
  readonly flags?: ReadonlySet<string>;
  /** Where the flags are from, for people. */
  readonly flagsFrom?: string;
  /** Whether WebAssembly here validates a module with 128-bit vectors. */
  readonly hasWasmSimd: boolean;
}

export interface SimdAlignment {
  readonly bytes: 8 | 16 | 32 | 64;
  /** Which fact decided. */
  readonly source: string;
}

/**
 * 64 with AVX-512, 32 with AVX, else 16 on x86-64; 16 on AArch64, which always has NEON; 16 where
 * WebAssembly has SIMD; else 8. O(1).
 */
export function simdAlignmentOf(facts: ProcessorFacts): SimdAlignment {
  const { architecture, flags, flagsFrom = "the system" } = facts;
  if (architecture === "x64" || architecture === "ia32") {
    if (flags?.has("avx512f") === true) return { bytes: 64, source: `avx512f in ${flagsFrom}` };
    if (flags?.has("avx") === true) return { bytes: 32, source: `avx in ${flagsFrom}` };
    if (architecture === "x64" || flags?.has("sse2") === true)
      return {
        bytes: 16,
        source: flags === undefined ? "x86-64 has SSE2" : `no avx in ${flagsFrom}`,
      };
  }
  if (architecture === "arm64") return { bytes: 16, source: "AArch64 has NEON" };
  if (facts.hasWasmSimd) return { bytes: 16, source: "WebAssembly SIMD" };
  return { bytes: 8, source: "no vectors known" };
}

/** `() -> v128` with `v128.const 0`: valid where WebAssembly has SIMD, and nowhere else. */
const simdModule = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  22,
  1,
  20,
  0,
  253,
  12,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  0,
  11,
);

/** Whether WebAssembly here has 128-bit vectors; false where there is no WebAssembly. */
export function hasWasmSimd(): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(simdModule);
}

/** What this machine's vectors want, as far as a browser can know; `moorage/node` knows more. */
export function detectSimdAlignment(): SimdAlignment {
  return simdAlignmentOf({ hasWasmSimd: hasWasmSimd() });
}
