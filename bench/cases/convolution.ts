/** A convolution over two axes and channels, as networks use it. */

import type { BenchCase, CaseSize } from "../core/contract.ts";
import { dataOf, float32Output, randomTensor, read } from "./shapes.ts";

function layer(height: number, width: number, channels: number, filters: number): CaseSize {
  return {
    label: `${height}x${width}x${channels} to ${filters}`,
    values: { height, width, channels, filters },
  };
}

export const convolutionCases: readonly BenchCase[] = [
  {
    suite: "kernels",
    name: "conv2d",
    about:
      "x [1, height, width, channels], weights [3, 3, channels, filters], step 1, zeros beyond the edge; " +
      "a contestant may hold both in an order of its own",
    sizes: [
      layer(16, 16, 8, 16),
      { ...layer(64, 64, 16, 32), quick: true },
      layer(128, 128, 32, 64),
    ],
    tolerance: "matmul",
    work: ({ height = 0, width = 0, channels = 0, filters = 0 }) => ({
      bytes: 4 * (height * width * (channels + filters) + 9 * channels * filters),
      flops: 2 * 9 * height * width * channels * filters,
    }),
    inputs: ({ height = 0, width = 0, channels = 0, filters = 0 }, random) => ({
      x: randomTensor(random, [1, height, width, channels]),
      weights: randomTensor(random, [3, 3, channels, filters]),
    }),
    expected(inputs, values) {
      const [height, width, channels, filters] = read(
        values,
        "height",
        "width",
        "channels",
        "filters",
      );
      const [x, weights] = [dataOf(inputs, "x"), dataOf(inputs, "weights")];
      const at = (index: number): number => {
        const [filter, pixel] = [index % filters, Math.floor(index / filters)];
        const [column, row] = [pixel % width, Math.floor(pixel / width)];
        let sum = 0;
        for (let dy = 0; dy < 3; dy++) {
          for (let dx = 0; dx < 3; dx++) {
            const [y, z] = [row + dy - 1, column + dx - 1];
            if (y < 0 || y >= height || z < 0 || z >= width) continue;
            for (let channel = 0; channel < channels; channel++) {
              sum +=
                x[(y * width + z) * channels + channel]! *
                weights[((dy * 3 + dx) * channels + channel) * filters + filter]!;
            }
          }
        }
        return sum;
      };
      return [float32Output([1, height, width, filters], at)];
    },
  },
];
