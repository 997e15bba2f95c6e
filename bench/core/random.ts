import type { Random } from "./contract.ts";

/** A small generator with 32 bits of state (the mixing function of splitmix32); the same on every engine. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  const bits = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  return {
    next: () => bits() / 2 ** 32,
    integer: (below) => Math.floor((bits() / 2 ** 32) * below),
    floats(count, low = -1, high = 1) {
      const values = new Float32Array(count);
      const scale = (high - low) / 2 ** 32;
      for (let index = 0; index < count; index++) values[index] = low + bits() * scale;
      return values;
    },
  };
}

/** A seed for one problem, so that leaving other cases out does not change its numbers. */
export function seedOf(runSeed: number, key: string): number {
  let hash = (2166136261 ^ runSeed) >>> 0;
  for (let index = 0; index < key.length; index++) {
    hash = Math.imul(hash ^ key.charCodeAt(index), 16777619) >>> 0;
  }
  return hash;
}
