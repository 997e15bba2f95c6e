/** The peers as contestants: each is right in three cases, through the harness that measures it. */

import { existsSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";

import { allCases } from "../../bench/cases/index.ts";
import { Message } from "../../bench/contestants/onnx/protobuf.ts";
import { peers } from "../../bench/contestants/peers.ts";
import type { PeerName } from "../../bench/contestants/peers.ts";
import { answersOf } from "../../bench/core/check.ts";
import type { Contestant } from "../../bench/core/contract.ts";
import { Entrant } from "../../bench/core/entrant.ts";
import { problemOf } from "../../bench/core/measure.ts";
import { randomFrom } from "../../bench/core/random.ts";
import { toleranceOf } from "../../bench/core/tolerances.ts";
import { openNodeHost } from "../../bench/node/node-host.ts";
import type { NodeHost } from "../../bench/node/node-host.ts";
import { loseDevice } from "../harness.ts";

const hasPeers = existsSync(new URL("../../bench/node_modules/onnxruntime-web", import.meta.url));
const absent = "the peers' packages are not installed (npm ci --prefix bench/peers)";
const pace = { sampleMs: 1, warmUpMs: 1, longestMs: 60_000, patienceMs: 60_000 };

/** Each at its smallest size. */
const quickCases = ["softmax", "matmul", "element-wise chain"];

let host: NodeHost;

beforeAll(async () => {
  if (!hasPeers) return;
  // The optimised code of 27 MB of WebAssembly would be made on the cores that the tests run on.
  setFlagsFromString("--no-wasm-tier-up");
  setFlagsFromString("--no-wasm-dynamic-tiering");
  // What a peer keeps in its pool goes with its device, and is no leak of Moorage's.
  GPUDevice.prototype.destroy = function destroy(this: GPUDevice) {
    loseDevice(this);
    return undefined;
  };
  host = await openNodeHost();
});

async function load(name: PeerName): Promise<Contestant> {
  return await peers.find((peer) => peer.name === name)!.load();
}

async function entered(contestant: Contestant, caseName: string): Promise<Entrant> {
  const benchCase = allCases.find(({ name }) => name === caseName)!;
  const problem = problemOf(benchCase, benchCase.sizes[0]!, 1);
  const answers = answersOf(problem.expected, randomFrom(2), 1);
  const tolerance = toleranceOf(benchCase.tolerance);
  const entrant = new Entrant(contestant, host, { problem, answers, tolerance }, pace);
  await entrant.enter();
  return entrant;
}

describe.each(peers)("$title", ({ name }) => {
  beforeEach(({ skip }) => skip(!hasPeers, absent));

  it.each(quickCases)(
    "is right in %s",
    async (caseName) => {
      const entrant = await entered(await load(name), caseName);
      await entrant.sample(0);
      await entrant.leave();
      expect(entrant.failure).toBeNull();
      expect(entrant.samples[0]).toBeGreaterThan(0);
      expect(entrant.peakDeviceBytes).toBeGreaterThan(0);
    },
    120_000,
  );

  it("says so where it has nothing for a case", async () => {
    const entrant = await entered(await load(name), "bump allocation");
    expect(entrant.failure).toBe("it has no memory of its own on the host");
  });
});

describe("sessions", () => {
  beforeEach(({ skip }) => skip(!hasPeers, absent));

  it("of jax-js have a device each, and each its own arrays", async () => {
    const [eager, compiled] = [await load("jax-eager"), await load("jax-jit")];
    const first = await entered(eager, "softmax");
    const second = await entered(compiled, "softmax");
    for (const entrant of [first, second, first]) await entrant.sample(0);
    await first.leave();
    await second.sample(1);
    await second.leave();
    expect([first.failure, second.failure]).toEqual([null, null]);
    const again = await entered(compiled, "softmax");
    await again.leave();
    expect(again.failure).toBeNull();
    // Each started with an empty pool: what the others held is not in its count.
    expect(again.peakDeviceBytes).toBe(second.peakDeviceBytes);
  });

  it("of ONNX Runtime hold nothing when they are done", async () => {
    const entrant = await entered(await load("onnx"), "softmax");
    await entrant.leave();
    expect(entrant.heldDeviceBytes).toBe(0);
  });
});

describe("protocol-buffer messages", () => {
  it("write whole numbers seven bits at a time", () => {
    expect([...new Message().int(1, 150).encode()]).toEqual([0x08, 0x96, 0x01]);
    expect([...new Message().int(20, 0).encode()]).toEqual([0xa0, 0x01, 0x00]);
    expect([...new Message().int(1, -1).encode()]).toEqual([0x08, ...Array(9).fill(0xff), 0x01]);
  });

  it("write texts, numbers of 32 bits and messages with their lengths", () => {
    expect([...new Message().text(2, "onnx").encode()]).toEqual([0x12, 4, 0x6f, 0x6e, 0x6e, 0x78]);
    expect([...new Message().float(2, 1).encode()]).toEqual([0x15, 0, 0, 0x80, 0x3f]);
    const inner = new Message().int(1, 3);
    expect([...new Message().message(7, inner).encode()]).toEqual([0x3a, 2, 0x08, 3]);
  });
});
