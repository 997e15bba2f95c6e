/**
 * From the device to the host, through staging that stays. What is read back is used before more is
 * asked for: iterations follow one another, and only the pieces of one are in flight together.
 */

import { inputOf, NotSupportedError, valueOf } from "../../core/contract.ts";
import { timedReads } from "../../core/reading.ts";
import type { Kit, Step } from "./kit.ts";
import { longRings, ringName } from "./transfer-rings.ts";
import type { Ring } from "./transfer-rings.ts";
import type { RawVariant } from "./variant.ts";

/** What a tensor holds on the device, in pieces: one is copied out while the next arrive. */
class Reader {
  readonly #device: GPUDevice;
  readonly #slots: readonly GPUBuffer[];
  readonly #pieceBytes: number;

  constructor(kit: Kit, { count, bytes }: Ring, byteLength: number) {
    this.#device = kit.device;
    this.#pieceBytes = bytes;
    const slots = Math.min(count, Math.ceil(byteLength / bytes));
    this.#slots = Array.from({ length: slots }, () => kit.staging("read", bytes, "read"));
  }

  /** @param kept - where the elements go; a new array where it is not given */
  async read(
    source: GPUBuffer,
    length: number,
    kept?: Float32Array<ArrayBuffer>,
  ): Promise<Float32Array<ArrayBuffer>> {
    const byteLength = 4 * length;
    const pieceBytes = this.#pieceBytes;
    const pieces = Math.ceil(byteLength / pieceBytes);
    const ask = (piece: number): Promise<void> => {
      const offset = piece * pieceBytes;
      const bytes = Math.min(pieceBytes, byteLength - offset);
      return this.#ask(source, offset, bytes, this.#slots[piece % this.#slots.length]!);
    };
    const asked: Promise<void>[] = [];
    for (let piece = 0; piece < Math.min(pieces, this.#slots.length); piece++)
      asked.push(ask(piece));
    if (pieces === 1 && kept === undefined) {
      await asked[0];
      // A copy of the range is not filled with zeros first, as a new array is.
      const copy = this.#slots[0]!.getMappedRange(0, byteLength).slice(0);
      this.#slots[0]!.unmap();
      return new Float32Array(copy);
    }
    const target = kept ?? new Float32Array(length);
    for (let piece = 0; piece < pieces; piece++) {
      await asked[piece];
      const slot = this.#slots[piece % this.#slots.length]!;
      const bytes = Math.min(pieceBytes, byteLength - piece * pieceBytes);
      target.set(new Float32Array(slot.getMappedRange(0, bytes)), (piece * pieceBytes) / 4);
      slot.unmap();
      const next = piece + this.#slots.length;
      if (next < pieces) asked.push(ask(next));
    }
    return target;
  }

  #ask(source: GPUBuffer, offset: number, bytes: number, slot: GPUBuffer): Promise<void> {
    const encoder = this.#device.createCommandEncoder({ label: "raw: read" });
    encoder.copyBufferToBuffer(source, offset, slot, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    return slot.mapAsync(GPUMapMode.READ, 0, bytes);
  }
}

/** @param ring - the pieces; all at once where there is none */
function readBack(ring: Ring | undefined, isNew: boolean): RawVariant {
  return ({ inputs }, kit) => {
    const x = inputOf(inputs, "x");
    const { length, byteLength } = x.data;
    if (ring !== undefined && byteLength <= ring.bytes)
      throw new NotSupportedError("this is one piece: the same as at once");
    const source = kit.input("x", x);
    const reader = new Reader(kit, ring ?? { count: 1, bytes: byteLength }, byteLength);
    let last = new Float32Array(length);
    return Promise.resolve({
      variant: ring === undefined ? "at once" : `through ${ringName(ring)}`,
      run: timedReads(kit.host, byteLength, async () => {
        last = await reader.read(source, length, isNew ? undefined : last);
      }),
      outputs: () => Promise.resolve([last]),
      dispose: () => kit.dispose(),
    });
  };
}

/**
 * The tensors lie apart in one buffer, as tensors do that were not made together; they arrive side by
 * side, as views of one new array.
 */
function readMany(isGathered: boolean): RawVariant {
  return async ({ inputs, values }, kit) => {
    const { device } = kit;
    const [count, elements] = [valueOf(values, "count"), valueOf(values, "elements")];
    const x = inputOf(inputs, "x").data as Float32Array<ArrayBuffer>;
    const bytes = 4 * elements;
    const offsets = Uint32Array.from({ length: count }, (_, index) => 2 * index * bytes);
    const memory = kit.buffer("tensors", 2 * count * bytes);
    for (let index = 0; index < count; index++)
      device.queue.writeBuffer(memory, offsets[index]!, x, index * elements, elements);
    const staging = kit.staging("read many", count * bytes, "read");
    const gathered = isGathered ? await gatherStep(kit, memory, offsets, bytes) : undefined;
    const record = (encoder: GPUCommandEncoder): void => {
      if (gathered === undefined) {
        for (let index = 0; index < count; index++)
          encoder.copyBufferToBuffer(memory, offsets[index]!, staging, index * bytes, bytes);
        return;
      }
      const pass = encoder.beginComputePass({ label: "raw: gather tensors" });
      pass.setPipeline(gathered.step.pipeline);
      pass.setBindGroup(0, gathered.step.group);
      pass.dispatchWorkgroups(count);
      pass.end();
      encoder.copyBufferToBuffer(gathered.packed, 0, staging, 0, count * bytes);
    };
    let last: readonly Float32Array[] = [];
    return {
      variant: isGathered ? "gathered by a kernel" : "a copy each",
      run: timedReads(kit.host, count * bytes, async () => {
        const encoder = device.createCommandEncoder({ label: "raw: read many" });
        record(encoder);
        device.queue.submit([encoder.finish()]);
        await staging.mapAsync(GPUMapMode.READ);
        const all = staging.getMappedRange().slice(0);
        staging.unmap();
        last = Array.from(offsets, (_, index) => new Float32Array(all, index * bytes, elements));
      }),
      outputs() {
        const all = new Float32Array(count * elements);
        for (const [index, part] of last.entries()) all.set(part, index * elements);
        return Promise.resolve([all]);
      },
      dispose: () => kit.dispose(),
    };
  };
}

/** A workgroup moves a tensor. */
async function gatherStep(
  kit: Kit,
  memory: GPUBuffer,
  offsets: Uint32Array,
  bytes: number,
): Promise<{ readonly step: Step; readonly packed: GPUBuffer }> {
  const code = `
@group(0) @binding(0) var<storage, read> offsets: array<u32>;
@group(0) @binding(1) var<storage, read> memory: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4f>;
override quads: u32;
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let source = offsets[group.x] / 16u;
  for (var at = lane; at < quads; at += 64u) {
    packed[group.x * quads + at] = memory[source + at];
  }
}`;
  const table = kit.input("offsets", { shape: [offsets.length], data: offsets });
  const packed = kit.buffer("tensors side by side", offsets.length * bytes);
  const pipeline = await kit.pipeline("gather tensors", code, { quads: bytes / 16 });
  return { step: kit.step(pipeline, [table, memory, packed], [offsets.length]), packed };
}

const back = (isNew: boolean): readonly RawVariant[] =>
  [undefined, ...longRings].map((ring) => readBack(ring, isNew));

export const readBackPaths: Readonly<Record<string, readonly RawVariant[]>> = {
  "read back": back(true),
  "read back into an array": back(false),
  "read back many": [readMany(false), readMany(true)],
};
