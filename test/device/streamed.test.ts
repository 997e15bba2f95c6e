/**
 * More bytes than any budget holds, through a small window: 256 MiB here, 10 GiB in
 * `npm run test:long`. The device's checksum is the host's, and the platform's own buffers never pass
 * the budgets.
 */

import { MiB } from "moorage";
import { expect, test } from "vitest";

import { liveBufferBytes, openRuntime } from "../harness.ts";

const isLong = process.env["MOORAGE_LONG"] === "1";
const totalBytes = (isLong ? 10 * 1024 : 256) * MiB;
const pieceBytes = 16 * MiB;
const words = pieceBytes / 4;

/** Fresh numbers without end (xorshift), and their checksums as the device computes them. */
class Generator {
  sum = 0;
  weighted = 0;
  #state = 0x9e3779b9;

  readonly fill = (bytes: Uint8Array<ArrayBuffer>, byteOffset: number): void => {
    const numbers = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    let [state, sum, weighted] = [this.#state, this.sum, this.weighted];
    const first = byteOffset / 4;
    for (let index = 0; index < numbers.length; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      numbers[index] = state;
      sum = (sum + state) | 0;
      weighted = (weighted + Math.imul(state, 2 * (first + index) + 1)) | 0;
    }
    this.#state = state;
    this.sum = sum;
    this.weighted = weighted;
  };
}

test(
  `${totalBytes / MiB} MiB through 64 MiB of device and 16 MiB of pinned memory`,
  { timeout: isLong ? 1_800_000 : 60_000 },
  async () => {
    const budget = { deviceBytes: 64 * MiB, pinnedBytes: 16 * MiB };
    const rt = await openRuntime({ budget });
    const others = liveBufferBytes(rt.device);
    let most = 0;
    const weights = Uint32Array.from({ length: words }, (_, index) => 2 * index + 1);
    const odd = rt.tensor(weights, { shape: [words], dtype: "uint32", label: "weights" });
    const window = rt.empty([words], { dtype: "uint32", label: "window" });
    const generator = new Generator();
    let [sum, weighted] = [0, 0];
    for (let done = 0; done < totalBytes; done += pieceBytes) {
      await rt.writeFrom(window, generator.fill, {
        windowBytes: 8 * MiB,
        onProgress: () => {
          most = Math.max(most, liveBufferBytes(rt.device));
        },
      });
      const [a, b] = await rt.scope(async (s) => {
        const plain = s.sum(window);
        return [await plain.item(), await s.sum(s.multiply(window, odd)).item()];
      });
      sum = (sum + a) | 0;
      weighted = (weighted + b) | 0;
      most = Math.max(most, liveBufferBytes(rt.device));
    }
    expect([sum, weighted]).toEqual([generator.sum, generator.weighted]);
    const stats = rt.stats();
    expect(stats.slabs.peakReservedBytes).toBeLessThanOrEqual(budget.deviceBytes);
    expect(stats.pinned.reserved.peak).toBeLessThanOrEqual(budget.pinnedBytes);
    expect(most).toBeLessThanOrEqual(others + budget.deviceBytes + budget.pinnedBytes);
    odd.dispose();
    window.dispose();
    await rt.dispose();
  },
);
