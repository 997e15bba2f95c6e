/** What comes back early within a page, against a model that knows every byte. */

import { expect, test } from "vitest";

import { randomFrom } from "../../bench/core/random.ts";
import { PageHoles } from "../../src/device/memory/page-holes.ts";

test("holes merge with what they touch, are taken from the first that fits, and at most sixteen are kept", () => {
  const holes = new PageHoles();
  expect([holes.byteLength, holes.fits(1), holes.take(1)]).toEqual([0, false, -1]);
  expect([holes.add(100, 200), holes.add(300, 400), holes.byteLength]).toEqual([true, true, 200]);
  expect([holes.fits(100), holes.fits(101)]).toEqual([true, false]);
  // Between both, touching both: one hole.
  expect([holes.add(200, 300), holes.fits(300), holes.fits(301)]).toEqual([true, true, false]);
  expect([holes.add(400, 450), holes.add(50, 100), holes.byteLength]).toEqual([true, true, 400]);
  expect(holes.fits(400)).toBe(true);
  expect([holes.take(100), holes.take(300), holes.take(1), holes.byteLength]).toEqual([
    50, 150, -1, 0,
  ]);

  for (let at = 0; at < 16; at++) expect(holes.add(20 * at, 20 * at + 10)).toBe(true);
  expect([holes.add(1000, 1010), holes.byteLength]).toEqual([false, 160]);
  // What touches another needs no place of its own.
  expect([holes.add(10, 15), holes.byteLength]).toEqual([true, 165]);
  expect([holes.add(35, 40), holes.add(15, 20), holes.byteLength]).toEqual([true, true, 175]);
  expect([holes.take(31), holes.take(30)]).toEqual([-1, 0]);
});

test("the hole at the end of what is used is no hole any more", () => {
  const holes = new PageHoles();
  expect(holes.shrink(500)).toBe(500);
  holes.add(100, 200);
  holes.add(300, 400);
  expect([holes.shrink(500), holes.byteLength]).toEqual([500, 200]);
  expect([holes.shrink(400), holes.byteLength]).toEqual([300, 100]);
  expect([holes.shrink(300), holes.shrink(200), holes.byteLength]).toEqual([300, 100, 0]);
});

test("a thousand random steps leave what the model has", () => {
  const random = randomFrom(7);
  const holes = new PageHoles();
  const isFree = new Uint8Array(256);
  const runs = (): number =>
    isFree.reduce((n, free, at) => n + (free && !isFree[at - 1] ? 1 : 0), 0);
  for (let step = 0; step < 1000; step++) {
    if (random.integer(2) === 0) {
      const start = random.integer(250);
      const end = start + 1 + random.integer(6);
      if (isFree.subarray(start, end).includes(1)) continue;
      const touches = isFree[start - 1] === 1 || isFree[end] === 1;
      const isKept = touches || runs() < 16;
      expect(holes.add(start, end)).toBe(isKept);
      if (isKept) isFree.fill(1, start, end);
    } else {
      const length = 1 + random.integer(8);
      let start = 0;
      while (start + length <= 256 && isFree.subarray(start, start + length).includes(0)) start++;
      const isThere = start + length <= 256;
      expect(holes.fits(length)).toBe(isThere);
      // The first hole that is long enough begins where the first such run does.
      expect(holes.take(length)).toBe(isThere ? start : -1);
      if (isThere) isFree.fill(0, start, start + length);
    }
    expect(holes.byteLength).toBe(isFree.reduce((sum, free) => sum + free, 0));
  }
});
