/** Numbers into elements, and elements into numbers. */

import type { HostDType } from "../dtype.ts";
import { float16ToNumber, numberToFloat16 } from "../float16.ts";
import type { Elements } from "./strided-copy.ts";

/** What an element stands for; `undefined` where it is a number as it is. */
export function decoderOf(dtype: HostDType): ((element: number) => number) | undefined {
  return dtype === "float16" ? float16ToNumber : undefined;
}

/** The element for a number; `undefined` where the typed array does it. */
export function encoderOf(dtype: HostDType): ((value: number) => number) | undefined {
  if (dtype === "float16") return numberToFloat16;
  return dtype === "bool" ? (value) => (value === 0 ? 0 : 1) : undefined;
}

const ranges: { readonly [D in HostDType]?: readonly [number, number] } = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32_768, 32_767],
  uint16: [0, 65_535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
};

/**
 * The element of `to` for an element of `from`: integers are truncated and held at the ends of their
 * range, NaN becomes 0 there; into `bool`, everything but 0 is 1.
 */
export function castOf(from: HostDType, to: HostDType): (element: number) => number {
  const decode = decoderOf(from);
  const encode = encoderOf(to);
  const range = ranges[to];
  return (element) => {
    const value = decode === undefined ? element : decode(element);
    if (encode !== undefined) return encode(value);
    if (range === undefined) return value;
    if (Number.isNaN(value)) return 0;
    return Math.trunc(Math.min(range[1], Math.max(range[0], value)));
  };
}

/** What each dtype holds every value of, so that a typed array's own `set` converts to it. */
const holds: { readonly [D in HostDType]?: readonly HostDType[] } = {
  int32: ["int8", "uint8", "int16", "uint16", "bool"],
  uint32: ["uint8", "uint16", "bool"],
  int16: ["int8", "uint8", "bool"],
  uint16: ["uint8", "bool"],
};

/**
 * Writes the elements of `data` to `target` as {@link castOf} has them. Both have as many. O(elements),
 * and by the engine's own loop where no number has to be cut.
 */
export function convertElements(
  from: HostDType,
  data: ArrayLike<number>,
  to: HostDType,
  target: Elements & { set(data: ArrayLike<number>): void },
): void {
  const isFloat = to === "float32" || to === "float64";
  const isPlain =
    from === to || (isFloat ? from !== "float16" : holds[to]?.includes(from) === true);
  if (isPlain) {
    target.set(data);
    return;
  }
  const cast = castOf(from, to);
  for (let index = 0; index < data.length; index++) target[index] = cast(data[index]!);
}
