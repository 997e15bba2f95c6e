import { describe, expect, test } from "vitest";

import { hostDtypes } from "../../src/host/dtype.ts";
import {
  detectSimdAlignment,
  GeneralHeap,
  HotArena,
  PagePool,
  SimdBuffer,
} from "../../src/index.ts";
import type { HostDType } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";

const alignments = [8, 16, 32, 64, 128, 4096];

describe.each(alignments)("aligned to %d", (alignment) => {
  test("in memory of its own, in an arena, in a moving heap", () => {
    const arena = new HotArena(new PagePool());
    const heap = new GeneralHeap();
    for (const region of [undefined, arena, heap]) {
      for (const length of [1, 3, 17, 1000]) {
        heap.alloc({ byteLength: 24 }).dispose();
        arena.alloc({ byteLength: 24 });
        const buffer = SimdBuffer.allocate("float32", length, {
          alignment,
          ...(region && { region }),
        });
        expect(buffer.byteOffset % alignment).toBe(0);
        expect(buffer).toMatchObject({
          length,
          alignment,
          alignmentKind: "offset",
          byteLength: 4 * length,
        });
        expect(buffer.data).toHaveLength(length);
        buffer.data.fill(2);
        expect(buffer.data[length - 1]).toBe(2);
        buffer.free();
      }
    }
    heap.collect();
    expect(heap.stats().liveBytes).toBe(0);
    arena.end();
  });

  test("over WebAssembly memory it is the address that is aligned", () => {
    const memory = new WebAssembly.Memory({ initial: 2 });
    const arena = HotArena.over(memory, { byteOffset: 8 });
    const nested = arena.nested({ byteLength: 40_000 });
    for (const region of [arena, nested]) {
      region.alloc({ byteLength: 3 });
      const buffer = SimdBuffer.allocate("float64", 5, { alignment, region });
      expect(buffer.alignmentKind).toBe("address");
      expect(buffer.byteOffset % alignment).toBe(0);
      expect(buffer.data.byteOffset).toBe(buffer.byteOffset);
      buffer.dispose();
    }
    arena.end();
  });
});

test.each(hostDtypes)("%s", (dtype: HostDType) => {
  const buffer = SimdBuffer.allocate(dtype, 7);
  expect(buffer.alignment).toBe(detectSimdAlignment().bytes);
  buffer.data[6] = 1;
  expect(buffer.data).toHaveLength(7);
  buffer.dispose();
  buffer.dispose();
  expect(codeOf(() => buffer.free())).toBe("DOUBLE_FREE");
  expect(caught(() => buffer.data)).toMatchObject({
    code: "USE_AFTER_DISPOSE",
    label: "simd buffer",
  });
});

test.each([
  [0, 16, "INVALID_LAYOUT"],
  [-1, 16, "INVALID_LAYOUT"],
  [1.5, 16, "INVALID_LAYOUT"],
  [2 ** 52, 16, "SIZE_OVERFLOW"],
  [4, 24, "UNSUPPORTED_ALIGNMENT"],
  [4, 0, "UNSUPPORTED_ALIGNMENT"],
])("%d elements aligned to %d: %s", (length, alignment, code) => {
  expect(codeOf(() => SimdBuffer.allocate("float32", length, { alignment }))).toBe(code);
});

test("more alignment than a region gives is refused, and takes nothing", () => {
  const heap = new GeneralHeap();
  const wrong = (): SimdBuffer =>
    SimdBuffer.allocate("float32", 4, { alignment: 8192, region: heap });
  expect(codeOf(wrong)).toBe("UNSUPPORTED_ALIGNMENT");
  expect(heap.stats().liveBytes).toBe(0);
});

test("it ends with its arena", () => {
  const arena = HotArena.fixed();
  const buffer = SimdBuffer.allocate("int16", 9, { region: arena });
  arena.reset();
  expect(buffer.isAlive).toBe(false);
  expect(codeOf(() => buffer.data)).toBe("USE_AFTER_DISPOSE");
  buffer.dispose();
  arena.end();
});
