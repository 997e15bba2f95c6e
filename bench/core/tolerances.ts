/**
 * How far from the float64 reference a result may be, by case: |got - expected| must not exceed
 * `absolute + relative * |expected|`. One table, so that no case is lenient on its own.
 */

export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
  readonly why: string;
}

const exact: Tolerance = { absolute: 0, relative: 0, why: "bytes are moved, or counted" };

/** Inputs are in [-1, 1) unless the case says otherwise; 2^-24 is half a unit in the last place of 1. */
export const tolerances: Readonly<Record<string, Tolerance>> = {
  exact,
  elementwise: { absolute: 1e-6, relative: 4e-6, why: "a few roundings to a chain" },
  chain: { absolute: 2e-5, relative: 2e-5, why: "up to 20 roundings" },
  sum: { absolute: 2e-2, relative: 1e-4, why: "16 Mi roundings of partial sums near 2^11" },
  softmax: { absolute: 1e-6, relative: 1e-4, why: "exp is a few units in the last place off" },
  normalise: { absolute: 1e-4, relative: 1e-4, why: "a mean and a square root over a row" },
  matmul: { absolute: 2e-3, relative: 1e-4, why: "up to 4096 roundings of products" },
  network: { absolute: 5e-3, relative: 5e-3, why: "several products and exp in a row" },
  picture: { absolute: 1.01 / 255, relative: 0, why: "one level of 255" },
};

export function toleranceOf(name: string): Tolerance {
  const tolerance = tolerances[name];
  if (tolerance === undefined) throw new Error(`there is no tolerance "${name}"`);
  return tolerance;
}
