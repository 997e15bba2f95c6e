/**
 * Indices that the compiler checks. Where a tensor's shape is a literal type (`[2, 3]`) and an index is
 * a literal too, one that does not fit is an error before the program runs; a `number` is checked when
 * it does.
 */

import type { Shape } from "../layout.ts";

/** One element for each character. */
type Characters<S extends string> = S extends `${string}${infer Rest}`
  ? [unknown, ...Characters<Rest>]
  : [];

type DigitBefore<
  A extends string,
  B extends string,
> = "0123456789" extends `${string}${A}${infer After}`
  ? After extends `${string}${B}${string}`
    ? true
    : false
  : false;

/** Whether one number of as many digits is below another. */
type DigitsBelow<A extends string, B extends string> = A extends `${infer First}${infer RestA}`
  ? B extends `${infer Other}${infer RestB}`
    ? First extends Other
      ? DigitsBelow<RestA, RestB>
      : DigitBefore<First, Other>
    : false
  : false;

type Shorter<A extends unknown[], B extends unknown[]> = B extends [...A, unknown, ...unknown[]]
  ? true
  : false;

type TextBelow<A extends string, B extends string> =
  Shorter<Characters<A>, Characters<B>> extends true
    ? true
    : Shorter<Characters<B>, Characters<A>> extends true
      ? false
      : DigitsBelow<A, B>;

/** Whether the literal `A` is below the literal `B`; both are whole and not negative. */
export type Below<A extends number, B extends number> = TextBelow<`${A}`, `${B}`>;

/** Whether the literal index fits an axis of the literal extent: -extent to extent - 1. */
type Fits<I extends number, Extent extends number> = `${I}` extends `${string}.${string}`
  ? false
  : `${I}` extends `-${infer Size}`
    ? TextBelow<Size, `${Extent}`> extends true
      ? true
      : Size extends `${Extent}`
        ? true
        : false
    : Below<I, Extent>;

/** The index itself where it can be right, and `never`, which takes no argument, where it cannot. */
type CheckedAt<I, Extent> = I extends number
  ? number extends I
    ? I
    : Extent extends number
      ? number extends Extent
        ? I
        : Fits<I, Extent> extends true
          ? I
          : never
      : never
  : never;

/** One index for each axis of `S`, those that are literals in range. */
export type CheckedIndex<S extends Shape, I extends readonly number[]> = number extends S["length"]
  ? I
  : I["length"] extends S["length"]
    ? { [K in keyof I]: K extends keyof S ? CheckedAt<I[K], S[K]> : I[K] }
    : { [K in keyof S]: number };

/** The shape with its axes turned round. */
export type Reversed<S extends Shape> = S extends readonly [
  infer First extends number,
  ...infer Rest extends Shape,
]
  ? [...Reversed<Rest>, First]
  : S extends readonly []
    ? []
    : S;
