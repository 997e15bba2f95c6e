import { expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import { PageHoles } from "../../src/device/memory/page-holes.ts";

test.each([1, 2, 3])("random ranges against a map of bytes, seed %d", (seed) => {
  const random = randomFrom(seed);
  const holes = new PageHoles();
  /** 1 where a byte is in a hole. */
  const bytes = new Uint8Array(400);
  const live: (readonly [number, number])[] = [[0, 400]];
  let forgotten = 0;
  for (let step = 0; step < 4000; step++) {
    if (random.integer(2) === 0 && live.length > 0) {
      const [start, end] = live.splice(random.integer(live.length), 1)[0]!;
      const from = start + random.integer(end - start);
      const to = from + 1 + random.integer(end - from);
      if (from > start) live.push([start, from]);
      if (to < end) live.push([to, end]);
      if (holes.add(from, to)) bytes.fill(1, from, to);
      else forgotten++;
    } else {
      const size = 1 + random.integer(40);
      const fits = holes.fits(size);
      const start = holes.take(size);
      expect(start >= 0).toBe(fits);
      if (start < 0) continue;
      expect(bytes.subarray(start, start + size).every((byte) => byte === 1)).toBe(true);
      bytes.fill(0, start, start + size);
      live.push([start, start + size]);
    }
    expect(holes.byteLength).toBe(bytes.reduce((sum, byte) => sum + byte, 0));
  }
  expect(forgotten).toBeGreaterThan(0);
});

test("the hole at the end is no part of the page any more", () => {
  const holes = new PageHoles();
  holes.add(10, 20);
  holes.add(30, 40);
  expect(holes.shrink(50)).toBe(50);
  expect(holes.shrink(40)).toBe(30);
  expect([holes.byteLength, holes.take(11), holes.take(10)]).toEqual([10, -1, 10]);
});
