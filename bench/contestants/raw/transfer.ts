/**
 * From the host to the device: through the queue, through a belt of mapped buffers, or through fresh
 * ones. Uploads of a call may be in flight together.
 */

import { inputOf } from "../../core/contract.ts";
import type { Prepared, Problem } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";
import { readBackPaths } from "./read-back.ts";
import { MiB, ringName, rings } from "./transfer-rings.ts";
import type { Ring } from "./transfer-rings.ts";
import type { RawVariant } from "./variant.ts";

/** Bytes may be on their way up to this; then the host waits. */
const mostInFlightBytes = 256 * MiB;

/** The iterations of a call, in which `upload` is called each time, and what is in flight stays bounded. */
function preparedUpload(
  kit: Kit,
  { inputs }: Problem,
  variant: string,
  upload: (data: Float32Array<ArrayBuffer>, target: GPUBuffer) => Promise<void> | void,
  flush: () => void,
): Prepared {
  const data = inputOf(inputs, "x").data as Float32Array<ArrayBuffer>;
  const target = kit.buffer("target", data.byteLength);
  return {
    variant,
    async run(iterations) {
      let inFlightBytes = 0;
      for (let iteration = 0; iteration < iterations; iteration++) {
        const pending = upload(data, target);
        if (pending !== undefined) await pending;
        inFlightBytes += data.byteLength;
        if (inFlightBytes < mostInFlightBytes) continue;
        flush();
        await kit.host.wait(kit.device);
        inFlightBytes = 0;
      }
      flush();
      await kit.host.wait(kit.device);
    },
    outputs: async () => [await kit.read(target, data.length)],
    dispose: () => kit.dispose(),
  };
}

function throughQueue(problem: Problem, kit: Kit): Promise<Prepared> {
  const { queue } = kit.device;
  return Promise.resolve(
    preparedUpload(
      kit,
      problem,
      "writeBuffer",
      // Named by its bytes, an array crosses to the platform sooner than as a view.
      (data, target) => queue.writeBuffer(target, 0, data.buffer, data.byteOffset, data.byteLength),
      () => queue.submit([]),
    ),
  );
}

/** A fresh buffer for each upload, mapped from the start. */
function throughFresh(problem: Problem, kit: Kit): Promise<Prepared> {
  const { device } = kit;
  const upload = (data: Float32Array<ArrayBuffer>, target: GPUBuffer): void => {
    const staging = device.createBuffer({
      label: "raw: fresh staging",
      size: data.byteLength,
      usage: GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
    new Float32Array(staging.getMappedRange()).set(data);
    staging.unmap();
    const encoder = device.createCommandEncoder({ label: "raw: upload" });
    encoder.copyBufferToBuffer(staging, 0, target, 0, data.byteLength);
    device.queue.submit([encoder.finish()]);
    staging.destroy();
  };
  return Promise.resolve(
    preparedUpload(kit, problem, "a fresh buffer, mapped at creation", upload, () => {}),
  );
}

interface BeltSlot {
  readonly buffer: GPUBuffer;
  /** The mapped memory, or when it will be mapped again. */
  view: Float32Array<ArrayBuffer> | undefined;
  mapping: Promise<void> | undefined;
}

/**
 * Buffers that are written while mapped, one after the other:
 *
 *     mapped, filled front to back -> unmapped, its copies submitted -> mapping, when they are done
 */
class Belt {
  readonly #device: GPUDevice;
  readonly #slots: BeltSlot[];
  readonly #slotElements: number;
  #at = 0;
  #used = 0;
  #encoder: GPUCommandEncoder | undefined;

  constructor(kit: Kit, { count, bytes }: Ring) {
    this.#device = kit.device;
    this.#slotElements = bytes / 4;
    this.#slots = Array.from({ length: count }, () => {
      const buffer = kit.staging("belt", bytes, "write");
      return { buffer, view: new Float32Array(buffer.getMappedRange()), mapping: undefined };
    });
  }

  /** Copies an array to a buffer, in pieces where a slot is too small. */
  write(data: Float32Array<ArrayBuffer>, target: GPUBuffer): Promise<void> | void {
    const slot = this.#slots[this.#at]!;
    if (slot.view === undefined || data.length > this.#slotElements - this.#used)
      return this.#writePieces(data, target);
    slot.view.set(data, this.#used);
    this.#record(slot, target, 0, data.length);
  }

  async #writePieces(data: Float32Array<ArrayBuffer>, target: GPUBuffer): Promise<void> {
    let done = 0;
    while (done < data.length) {
      const slot = this.#slots[this.#at]!;
      if (slot.view === undefined) await slot.mapping;
      const count = Math.min(data.length - done, this.#slotElements - this.#used);
      slot.view!.set(data.subarray(done, done + count), this.#used);
      this.#record(slot, target, done, count);
      done += count;
    }
  }

  #record({ buffer }: BeltSlot, target: GPUBuffer, place: number, count: number): void {
    this.#encoder ??= this.#device.createCommandEncoder({ label: "raw: belt" });
    this.#encoder.copyBufferToBuffer(buffer, this.#used * 4, target, place * 4, count * 4);
    this.#used += count;
    if (this.#used === this.#slotElements) this.flush();
  }

  /** Submits what is in the slot under way, and goes on to the next. */
  flush(): void {
    if (this.#encoder === undefined) return;
    const slot = this.#slots[this.#at]!;
    slot.buffer.unmap();
    slot.view = undefined;
    this.#device.queue.submit([this.#encoder.finish()]);
    slot.mapping = this.#map(slot);
    this.#encoder = undefined;
    this.#used = 0;
    this.#at = (this.#at + 1) % this.#slots.length;
  }

  async #map(slot: BeltSlot): Promise<void> {
    await slot.buffer.mapAsync(GPUMapMode.WRITE);
    slot.view = new Float32Array(slot.buffer.getMappedRange());
  }

  /** Nothing may be mapping when its buffers are destroyed. */
  async settled(): Promise<void> {
    for (const { mapping } of this.#slots) await mapping;
  }
}

function throughBelt(ring: Ring): RawVariant {
  return (problem, kit) => {
    const belt = new Belt(kit, ring);
    const variant = `a belt of ${ringName(ring)}`;
    const prepared = preparedUpload(
      kit,
      problem,
      variant,
      (data, target) => belt.write(data, target),
      () => belt.flush(),
    );
    const dispose = async (): Promise<void> => {
      await belt.settled();
      kit.dispose();
    };
    return Promise.resolve({ ...prepared, dispose });
  };
}

const pinned: readonly RawVariant[] = [...rings.map(throughBelt), throughFresh];

export const transferPaths: Readonly<Record<string, readonly RawVariant[]>> = {
  upload: [throughQueue, ...pinned],
  "upload into a tensor": [throughQueue, ...pinned],
  "upload through pinned memory": pinned,
  ...readBackPaths,
};
