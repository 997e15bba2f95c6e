/** What can be known of allocations: exact, bounded, and readable by the bench's replay. */

import { describe, expect, test } from "vitest";

import { parseTrace } from "../../bench/traces/trace-text.ts";
import { eventKinds, validateTrace } from "../../bench/traces/trace.ts";
import { Diagnostics, GeneralHeap, HotArena, PagePool, TraceRing } from "../../src/index.ts";
import type { DiagnosticsOptions } from "../../src/index.ts";
import { caught, codeOf } from "../support/caught.ts";
import { open } from "../support/plain-pinned.ts";

interface Watched {
  readonly diagnostics: Diagnostics;
  readonly arena: HotArena;
  readonly heap: GeneralHeap;
  readonly pinned: ReturnType<typeof open>["heap"];
  /** Sets the clock. */
  readonly at: (ms: number) => void;
}

function watched(options: DiagnosticsOptions = {}): Watched {
  let now = 0;
  const diagnostics = new Diagnostics({ now: () => now, ...options });
  const arena = new HotArena(new PagePool(), "scope of a test");
  const heap = new GeneralHeap();
  const { heap: pinned } = open(2 ** 20);
  for (const region of [arena, heap, pinned]) region.observer = diagnostics;
  return { diagnostics, arena, heap, pinned, at: (ms) => void (now = ms) };
}

describe("outstanding", () => {
  test("every region's, oldest first, with age; what has ended is gone", () => {
    const { diagnostics, arena, heap, pinned, at } = watched();
    const a = heap.alloc({ byteLength: 100, label: "a" });
    at(10);
    arena.array("float32", 4, "b");
    const c = pinned.tensor({ shape: [8], dtype: "uint8", label: "c" });
    at(25);
    const known = diagnostics.outstanding();
    expect(
      known.map(({ label, region, owner, byteLength, ageMs }) => [
        label,
        region,
        owner,
        byteLength,
        ageMs,
      ]),
    ).toEqual([
      ["a", "general", "general heap", 100, 25],
      ["b", "hot", "scope of a test", 16, 15],
      ["c", "pinned", "pinned heap", 8, 15],
    ]);
    arena.end();
    a.dispose();
    expect(diagnostics.outstanding().map(({ label }) => label)).toEqual(["c"]);
    c.dispose();
    expect(diagnostics.outstanding()).toEqual([]);
    expect(diagnostics.report()).toBe("Nothing is allocated.");
  });

  test("a block that moved is still the same one", () => {
    const { diagnostics, heap } = watched();
    const block = heap.alloc({ byteLength: 5000, label: "wanderer" });
    heap.collect();
    heap.collect();
    expect(diagnostics.outstanding()).toMatchObject([{ label: "wanderer", byteLength: 5000 }]);
    const other = block.retain();
    block.dispose();
    expect(diagnostics.outstanding()).toHaveLength(1);
    other.dispose();
    expect(diagnostics.outstanding()).toEqual([]);
  });

  test("assertNoLeaks names what lives, but not what ends by itself", () => {
    const { diagnostics, heap, pinned } = watched();
    heap.alloc({ byteLength: 10, label: "collected some day" });
    diagnostics.assertNoLeaks();
    const leak = pinned.tensor({ shape: [300], dtype: "float32", label: "forgotten" });
    const error = caught(() => diagnostics.assertNoLeaks());
    expect(error).toMatchObject({ code: "LEAK", label: "forgotten" });
    expect(error.message).toContain('"forgotten" 1200 bytes in pinned heap');
    expect(error.message).not.toContain("some day");
    leak.dispose();
    diagnostics.assertNoLeaks();
  });

  test("the report is bounded, and starts with the largest", () => {
    const { diagnostics, heap } = watched();
    const blocks = Array.from({ length: 30 }, (_, at) =>
      heap.alloc({ byteLength: 8 * (at + 1), label: `n${at}` }),
    );
    const lines = diagnostics.report().split("\n");
    expect(lines[0]).toBe("30 live:");
    expect(lines[1]).toContain('"n29" 240 bytes');
    expect(lines.at(-1)).toBe("  and 10 more");
    for (const block of blocks) block.dispose();
  });
});

describe("stacks are sampled by bytes", () => {
  const stacked = (stackEveryBytes: number, sizes: readonly number[]): boolean[] => {
    const { diagnostics, heap } = watched({ stackEveryBytes });
    const blocks = sizes.map((byteLength) => heap.alloc({ byteLength }));
    const known = diagnostics
      .outstanding()
      .map(({ stack }) => stack?.includes("diagnostics.test") === true);
    for (const block of blocks) block.dispose();
    return known;
  };

  test("none, all, and each that completes so many bytes", () => {
    expect(stacked(0, [1000, 1000])).toEqual([false, false]);
    expect(stacked(1, [8, 8, 8])).toEqual([true, true, true]);
    expect(stacked(1000, [400, 400, 400, 400, 2000])).toEqual([false, false, true, false, true]);
  });
});

describe("the trace", () => {
  test("is a valid trace of the bench, with every event in order", () => {
    const { diagnostics, heap, arena } = watched();
    const a = heap.alloc({ byteLength: 100, label: "a" });
    arena.array("uint8", 50, "scratch");
    arena.array("uint8", 60, "scratch");
    a.dispose();
    arena.end();
    const b = heap.alloc({ byteLength: 7, label: "b" });
    const trace = parseTrace(diagnostics.trace!.toText());
    validateTrace(trace);
    expect(trace.peakLiveBytes).toBe(210);
    expect(trace.generator).toBe("recorded");
    const { kinds, bytes, labels, count } = trace.events;
    const named = Array.from({ length: count }, (_, at) =>
      kinds[at] === eventKinds.allocate ? `${trace.labels[labels[at]!]} ${bytes[at]}` : "free",
    );
    expect(named).toEqual(["a 100", "scratch 50", "scratch 60", "free", "free", "free", "b 7"]);
    const general = parseTrace(diagnostics.trace!.toText(["general"]));
    expect([general.peakLiveBytes, general.events.count]).toEqual([100, 3]);
    b.dispose();
  });

  test("a ring that has gone round keeps the latest, and is valid still", () => {
    const { diagnostics, heap } = watched({ traceEvents: 10 });
    const blocks = Array.from({ length: 8 }, (_, at) =>
      heap.alloc({ byteLength: 8, label: `${at}` }),
    );
    for (const block of blocks) block.dispose();
    const { trace } = diagnostics;
    expect([trace!.recordedCount, [...trace!.events()].length]).toEqual([16, 10]);
    expect([...trace!.events()][0]).toMatchObject({
      kind: "allocate",
      label: "6",
      region: "general",
    });
    const text = parseTrace(trace!.toText());
    validateTrace(text);
    // The frees of what the ring has forgotten are left out.
    expect(text.events.count).toBe(4);
  });

  test("no memory is taken while it records", () => {
    const ring = new TraceRing(1024);
    for (let at = 0; at < 100; at++) ring.record(false, "hot", at, 8, "warm", 0);
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let at = 0; at < 100_000; at++) ring.record(at % 2 === 1, "hot", at >> 1, 8, "warm", at);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 2 ** 20);
  });

  test("off where nothing is asked for", () => {
    const { diagnostics, heap } = watched({ traceEvents: 0 });
    heap.alloc({ byteLength: 8 }).dispose();
    expect(diagnostics.trace).toBeNull();
  });
});

test("hooks hear of allocations and frees of every region, with exact bytes", () => {
  const heard: string[] = [];
  const { arena, heap, pinned } = watched({
    hooks: {
      onAllocation: ({ region, label, byteLength }) =>
        heard.push(`+${region} ${label} ${byteLength}`),
      onFree: ({ region, label, byteLength }) => heard.push(`-${region} ${label} ${byteLength}`),
    },
  });
  const block = heap.alloc({ byteLength: 11, label: "g" });
  const tensor = pinned.tensor({ shape: [3], dtype: "int32", label: "p" });
  arena.alloc({ byteLength: 5, label: "h" });
  const grown = heap.realloc(block, 22);
  tensor.dispose();
  arena.reset();
  grown.dispose();
  expect(heard).toEqual([
    "+general g 11",
    "+pinned p 12",
    "+hot h 5",
    "+general g 22",
    "-general g 11",
    "-pinned p 12",
    "-hot h 5",
    "-general g 22",
  ]);
  arena.end();
});

test.each([{ traceEvents: -1 }, { traceEvents: 1.5 }, { stackEveryBytes: NaN }])(
  "%j is refused",
  (options) => {
    expect(codeOf(() => new Diagnostics(options))).toBe("INVALID_ARGUMENT");
  },
);
