/** What the first use of each kernel costs, in a session that has seen none: compiling above all. */

import type { BenchCase } from "../core/contract.ts";

const quickly = new Set(["sum", "softmax", "matmul"]);

/** One case for each kernel, at its smallest size. */
export function coldStartsOf(kernels: readonly BenchCase[]): BenchCase[] {
  return kernels.map((kernel) => {
    const { label, values } = kernel.sizes[0]!;
    return {
      ...kernel,
      name: `cold start: ${kernel.name}`,
      about: `uploading, compiling and the first iteration of: ${kernel.about}`,
      like: kernel.name,
      cold: true,
      sizes: [quickly.has(kernel.name) ? { label, values, quick: true } : { label, values }],
      work: () => ({}),
    };
  });
}
