import { expect, test } from "vitest";

import { whereWeLose } from "../../bench/report/losses.ts";
import { benchResult, benchRow, mixedResult, problem } from "../support/bench-results.ts";

test("raw counts from 10 % on, a peer at once", () => {
  const slower = (ratioToRaw: number | null, ratioToBestPeer: number | null): number =>
    whereWeLose(benchResult([benchRow({ ratioToRaw, ratioToBestPeer })])).length;
  expect(slower(0.9, 1)).toBe(0);
  expect(slower(0.899, 1)).toBe(1);
  expect(slower(1, 0.9999)).toBe(1);
  expect(slower(null, null)).toBe(0);
});

test("says which peer is ahead, and by how much", () => {
  const rows = problem({ moorage: 3, raw: 1.5, tensorflow: 2.5, onnx: 9 });
  const [loss] = whereWeLose(benchResult(rows));
  expect(loss).toMatchObject({ kind: "behind", ratio: 0.5 });
  expect(loss!.rivals.map(({ title }) => title)).toEqual(["raw", "TensorFlow.js 4.22.0"]);
  expect(loss!.sentence).toBe(
    "softmax 1024x1024 takes 2.00 times as long as raw (3.00 ms against 1.50 ms) and " +
      "20 % longer than TensorFlow.js 4.22.0 (3.00 ms against 2.50 ms).",
  );
});

test("a hair's breadth is told as such, and medians that say the contrary are left out", () => {
  const own = benchRow({ median: 2, ratioToRaw: 1, ratioToBestPeer: 0.9996 });
  const peer = benchRow({ median: 2.001, contestant: "onnx", ratioToBestPeer: 1 });
  const [loss] = whereWeLose(benchResult([own, peer]));
  expect(loss!.sentence).toBe(
    "softmax 1024x1024 takes less than 0.1 % longer than ONNX Runtime Web 1.30.0.",
  );
});

test("what is not there yet comes first, then failures, then the smallest ratio", () => {
  const result = benchResult([
    ...problem({ moorage: 1.2, raw: 1, onnx: 4 }, { size: "a" }),
    ...problem({ moorage: "device lost", raw: 1, onnx: 0.5 }, { size: "b" }),
    ...problem({ moorage: 5, raw: 1, onnx: 9 }, { size: "c" }),
    ...problem({ moorage: "not yet: scans", raw: "lost too" }, { size: "d" }),
    ...problem({ moorage: 1, raw: 1, onnx: 2 }, { size: "e" }),
  ]);
  const losses = whereWeLose(result);
  expect(losses.map(({ row }) => row.size)).toEqual(["d", "b", "c", "a"]);
  expect(losses[0]!.sentence).toBe(
    'softmax d is not there yet: "not yet: scans"; nor does any other.',
  );
  expect(losses[1]!.sentence).toBe(
    'softmax b does not run: "device lost"; ONNX Runtime Web 1.30.0 takes 500 us.',
  );
});

test("bytes are needed, not taken, and nothing is more than some", () => {
  const bytes = { suite: "memory", case: "held", unit: "bytes" } as const;
  const [more] = whereWeLose(benchResult(problem({ moorage: 2 ** 21, raw: 2 ** 20 }, bytes)));
  expect(more!.sentence).toContain("needs 2.00 times as much as raw (2 MiB against 1 MiB)");
  const [some] = whereWeLose(benchResult(problem({ moorage: 2 ** 21, raw: 0 }, bytes)));
  expect(some!.sentence).toContain("needs some where raw needs none (2 MiB against 0 B)");
});

test("other contestants' rows are no losses", () => {
  expect(whereWeLose(benchResult(problem({ raw: 1, onnx: 5, tensorflow: "fails" })))).toEqual([]);
  expect(whereWeLose(benchResult([]))).toEqual([]);
  expect(whereWeLose(mixedResult()).map(({ kind }) => kind)).toEqual([
    "not-yet",
    ...Array.from({ length: 4 }, () => "behind"),
  ]);
});
