/**
 * The job's own picture, for runs without a file: a harbour at dusk. Only additions, products and
 * square roots, so that every machine makes the same bytes.
 */

import type { Picture } from "./png.ts";

type Colour = readonly [red: number, green: number, blue: number];

const horizon = 0.62;
const sun = { x: 1.08, y: 0.4, radius: 0.11 } as const;
const title = "MOORAGE";

/** Rows of five pixels each, the leftmost in the highest bit. */
const letters: { readonly [letter: string]: readonly number[] } = {
  M: [17, 27, 21, 21, 17, 17, 17],
  O: [14, 17, 17, 17, 17, 17, 14],
  R: [30, 17, 17, 30, 20, 18, 17],
  A: [14, 17, 17, 31, 17, 17, 17],
  G: [14, 17, 16, 23, 17, 17, 14],
  E: [31, 16, 16, 30, 16, 16, 31],
};

/** 8-bit RGBA, four samples to a pixel. */
export function madeUpPicture(width = 768, height = 512): Picture {
  const samples = new Uint8Array(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sum = [0, 0, 0];
      for (const [dx, dy] of [
        [0.25, 0.25],
        [0.75, 0.25],
        [0.25, 0.75],
        [0.75, 0.75],
      ] as const) {
        // Both axes in units of the height, so that circles are round.
        const colour = colourAt((x + dx) / height, (y + dy) / height);
        for (let channel = 0; channel < 3; channel++) sum[channel]! += colour[channel]! / 4;
      }
      samples.set(
        sum.map((value) => Math.round(Math.min(255, Math.max(0, value)))),
        (y * width + x) * 4,
      );
    }
  }
  return { width, height, samples, maximum: 255, colourType: 6, depth: 8, interlaced: false };
}

/** The topmost thing at a point; y is 0…1 downwards. */
function colourAt(x: number, y: number): Colour {
  return (
    lettersAt(x, y) ??
    buoyAt(x, y, 1.36, 0.83, 0.035) ??
    buoyAt(x, y, 0.12, 0.72, 0.022) ??
    boatAt(x, y) ??
    postAt(x, y) ??
    (y > horizon ? waterAt(x, y) : (ridgeAt(x, y) ?? skyAt(x, y)))
  );
}

function skyAt(x: number, y: number): Colour {
  const distance = distanceTo(x, y, sun.x, sun.y);
  if (distance < sun.radius) return [255, 232, 176];
  const height = y / horizon;
  const glow = Math.max(0, 1 - distance / 0.6) ** 2;
  const base = mix([28, 42, 96], [246, 158, 108], height * height);
  return mix(base, [255, 206, 140], 0.7 * glow);
}

function ridgeAt(x: number, y: number): Colour | undefined {
  const near = 0.575 - 0.07 * wave(x * 0.9 + 0.1) - 0.02 * wave(x * 3.7);
  if (y > near) return [38, 44, 74];
  const far = 0.5 - 0.1 * wave(x * 0.55 + 0.62) - 0.025 * wave(x * 2.3 + 0.3);
  return y > far ? mix([92, 82, 122], [140, 104, 124], (y - far) * 6) : undefined;
}

function waterAt(x: number, y: number): Colour {
  const depth = (y - horizon) / (1 - horizon);
  const base = mix([206, 132, 112], [20, 34, 72], Math.sqrt(depth));
  const ripple = wave(y * 26 + 0.35 * wave(x * 2.1 + y * 3));
  // The sun's path on the water widens towards the viewer.
  const inPath = Math.abs(x - sun.x) < 0.05 + 0.16 * depth * wave(y * 17 + 0.2);
  if (inPath && ripple > 0.35) return [255, 214, 150];
  return mix(base, [84, 98, 140], ripple > 0.8 ? 0.5 : 0.12 * ripple);
}

function boatAt(x: number, y: number): Colour | undefined {
  const middle = 0.5;
  if (y > 0.68 && y < 0.75) {
    const half = 0.17 - (y - 0.68) * 0.9;
    if (Math.abs(x - middle) < half) return y < 0.692 ? [240, 236, 224] : [128, 40, 46];
  }
  if (Math.abs(x - middle) < 0.004 && y > 0.2 && y <= 0.68) return [62, 44, 40];
  const drop = (y - 0.22) / 0.43;
  if (drop <= 0 || drop >= 1) return undefined;
  if (x > middle && x - middle - 0.01 < 0.14 * drop && x - middle > 0.01)
    return (y * 14) % 1 < 0.1 ? [206, 200, 190] : [244, 240, 228];
  if (x < middle && middle - x > 0.01 && middle - x - 0.01 < 0.09 * drop && drop < 0.93)
    return [214, 108, 74];
  return undefined;
}

/** Where the boat is moored: a post, and a rope that hangs between the two. */
function postAt(x: number, y: number): Colour | undefined {
  if (x > 0.2 && x < 0.235 && y > 0.6 && y < 0.88) {
    return (y > 0.63 && y < 0.645) || y < 0.61 ? [226, 214, 190] : [70, 50, 44];
  }
  const along = (x - 0.235) / 0.1;
  if (along < 0 || along > 1) return undefined;
  const rope = 0.64 + 0.05 * along + 0.12 * along * (1 - along);
  return Math.abs(y - rope) < 0.0035 ? [226, 214, 190] : undefined;
}

function buoyAt(
  x: number,
  y: number,
  centreX: number,
  centreY: number,
  radius: number,
): Colour | undefined {
  if (distanceTo(x, y, centreX, centreY) > radius) return undefined;
  return Math.abs(y - centreY) < radius / 3 ? [246, 242, 232] : [204, 52, 44];
}

function lettersAt(x: number, y: number): Colour | undefined {
  const cell = 0.0125;
  const column = Math.floor((x - 0.07) / cell);
  const row = Math.floor((y - 0.07) / cell);
  if (row < 0 || row >= 7 || column < 0 || column >= title.length * 6) return undefined;
  const bits = letters[title.charAt(Math.floor(column / 6))]?.[row] ?? 0;
  const inLetter = column % 6;
  return inLetter < 5 && ((bits >> (4 - inLetter)) & 1) === 1 ? [250, 226, 190] : undefined;
}

function distanceTo(x: number, y: number, centreX: number, centreY: number): number {
  return Math.sqrt((x - centreX) ** 2 + (y - centreY) ** 2);
}

/** 0…1…0 once in each unit, in parabolas. */
function wave(at: number): number {
  const phase = at - Math.floor(at);
  return 4 * phase * (1 - phase);
}

function mix(a: Colour, b: Colour, share: number): Colour {
  const part = Math.min(1, Math.max(0, share));
  return [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part];
}
