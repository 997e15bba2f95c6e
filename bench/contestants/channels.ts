/** For libraries that convolve with the channels before the pixels: the case's numbers in that order, on the host. */

import type { HostTensor } from "../core/contract.ts";

/** `[outer, inner]` becomes `[inner, outer]`. */
function swapped(data: ArrayLike<number>, outer: number, inner: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(outer * inner);
  for (let index = 0; index < result.length; index++) {
    result[(index % inner) * outer + Math.floor(index / inner)] = data[index]!;
  }
  return result;
}

/** `[1, height, width, channels]` becomes `[1, channels, height, width]`. */
export function channelsFirst({ shape, data }: HostTensor): HostTensor {
  const [, height = 0, width = 0, channels = 0] = shape;
  return { shape: [1, channels, height, width], data: swapped(data, height * width, channels) };
}

/** `[1, channels, height, width]` becomes `[1, height, width, channels]`. */
export function channelsLast(data: ArrayLike<number>, channels: number): Float32Array<ArrayBuffer> {
  return swapped(data, channels, data.length / channels);
}

/** `[height, width, channels, filters]` becomes `[filters, channels, height, width]`. */
export function filtersFirst({ shape, data }: HostTensor): HostTensor {
  const [height = 0, width = 0, channels = 0, filters = 0] = shape;
  const result = new Float32Array(data.length);
  for (let index = 0; index < data.length; index++) {
    const [filter, rest] = [index % filters, Math.floor(index / filters)];
    const [channel, pixel] = [rest % channels, Math.floor(rest / channels)];
    result[(filter * channels + channel) * height * width + pixel] = data[index]!;
  }
  return { shape: [filters, channels, height, width], data: result };
}
