/**
 * Allocation churn by hand: offsets into one buffer that is made beforehand, from a pool of slots that
 * has been warm for a while. Fills are recorded together, so that many tensors are one dispatch.
 */

import { NotSupportedError } from "../../core/contract.ts";
import type { Numbers, Prepared, Problem } from "../../core/contract.ts";
import type { Kit } from "./kit.ts";
import { classCount, countClasses, none, SlotPool, traceOf } from "./slot-pool.ts";
import type { RawVariant } from "./variant.ts";

/** The first element of each slot, by copies on the device. */
async function firstsOf(
  kit: Kit,
  memory: GPUBuffer,
  firsts: GPUBuffer,
  offsets: readonly number[],
): Promise<Numbers> {
  const encoder = kit.device.createCommandEncoder({ label: "raw: first elements" });
  for (const [place, offset] of offsets.entries())
    encoder.copyBufferToBuffer(memory, offset, firsts, place * 4, 4);
  kit.device.queue.submit([encoder.finish()]);
  return await kit.read(firsts, offsets.length);
}

function churn(problem: Problem, kit: Kit): Promise<Prepared> {
  const trace = traceOf(problem);
  const { bytes, places, window } = trace;
  const pool = new SlotPool(countClasses(trace).mostLive);
  const memory = kit.buffer("pool", pool.bytes);
  const firsts = kit.buffer("first elements", window * 4);
  const held = new Int32Array(window).fill(none);
  const allocate = (): void => {
    for (let index = 0; index < bytes.length; index++) {
      const place = places[index]!;
      if (held[place] !== none) pool.free(held[place]!);
      held[place] = pool.allocate(bytes[index]!);
    }
  };
  const release = (): void => {
    for (let place = 0; place < window; place++) pool.free(held[place]!);
    held.fill(none);
  };
  return Promise.resolve({
    variant: "size classes in one buffer",
    run(iterations) {
      for (let iteration = 0; iteration < iterations; iteration++) {
        allocate();
        release();
      }
      return Promise.resolve();
    },
    async outputs() {
      allocate();
      const offsets = Array.from(held, (slot) => pool.offsets[slot]!);
      for (const [place, offset] of offsets.entries())
        kit.device.queue.writeBuffer(memory, offset, Float32Array.of(place));
      const read = await firstsOf(kit, memory, firsts, offsets);
      release();
      return [read];
    },
    dispose: () => kit.dispose(),
  });
}

/** What a workgroup fills. */
const pieceBytes = 16_384;

/** How a fill is written: 64 bytes at once for one check of bounds, or 16 side by side. */
interface FillForm {
  readonly lanes: number;
  readonly unit: "mat4x4f" | "vec4f";
}

function unitBytesOf({ unit }: FillForm): number {
  return unit === "mat4x4f" ? 64 : 16;
}

function fillCode({ lanes, unit }: FillForm): string {
  const quads = unit === "mat4x4f" ? "quad, quad, quad, quad" : "quad";
  return `
struct Piece { first: u32, count: u32, value: f32, unused: u32 }
@group(0) @binding(0) var<storage, read> pieces: array<Piece>;
@group(0) @binding(1) var<storage, read_write> memory: array<${unit}>;
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let piece = pieces[group.x];
  let quad = vec4f(piece.value);
  for (var at = lane; at < piece.count; at += ${lanes}u) {
    memory[piece.first + at] = ${unit}(${quads});
  }
}`;
}

/** Fills that are recorded together: one dispatch, a piece to a workgroup. No two may touch one slot. */
class FillBatch {
  readonly #kit: Kit;
  readonly #pipeline: GPUComputePipeline;
  readonly #group: GPUBindGroup;
  readonly #table: GPUBuffer;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #floats: Float32Array;
  readonly #unitBytes: number;
  #count = 0;

  constructor(
    kit: Kit,
    pipeline: GPUComputePipeline,
    memory: GPUBuffer,
    mostPieces: number,
    unitBytes: number,
  ) {
    this.#kit = kit;
    this.#pipeline = pipeline;
    this.#unitBytes = unitBytes;
    this.#words = new Uint32Array(4 * mostPieces);
    this.#floats = new Float32Array(this.#words.buffer);
    this.#table = kit.buffer("pieces to fill", this.#words.byteLength);
    this.#group = kit.step(pipeline, [this.#table, memory], [1]).group;
  }

  /** Padding of the slot, up to a whole unit, is filled as well. */
  add(offset: number, bytes: number, value: number): void {
    const unitBytes = this.#unitBytes;
    const end = Math.ceil((offset + bytes) / unitBytes);
    const most = pieceBytes / unitBytes;
    for (let first = offset / unitBytes; first < end; first += most) {
      const word = 4 * this.#count++;
      this.#words[word] = first;
      this.#words[word + 1] = Math.min(most, end - first);
      this.#floats[word + 2] = value;
    }
  }

  submit(): void {
    const { device } = this.#kit;
    device.queue.writeBuffer(this.#table, 0, this.#words, 0, 4 * this.#count);
    const encoder = device.createCommandEncoder({ label: "raw: fills" });
    const pass = encoder.beginComputePass({ label: "raw: fills" });
    pass.setPipeline(this.#pipeline);
    pass.setBindGroup(0, this.#group);
    pass.dispatchWorkgroups(this.#count);
    pass.end();
    device.queue.submit([encoder.finish()]);
    this.#count = 0;
  }
}

/**
 * What is freed is used again after the next submission, so that the fills between two submissions
 * touch each slot once. With more slots than are live, there are fewer submissions.
 *
 * @param share - slots of a class: this many times the most that are live
 */
function churnWithFill(share: number, form: FillForm, variant: string): RawVariant {
  return async (problem, kit) => {
    const trace = traceOf(problem);
    const { bytes, places, window } = trace;
    const { mostLive, total } = countClasses(trace);
    const pool = new SlotPool(total.map((all, size) => Math.min(all, share * mostLive[size]!)));
    if (pool.bytes > kit.device.limits.maxStorageBufferBindingSize)
      throw new NotSupportedError("the pool is more than can be bound");
    const memory = kit.buffer("pool", pool.bytes);
    const firsts = kit.buffer("first elements", window * 4);
    const pipeline = await kit.pipeline("fills", fillCode(form));
    const mostPieces = pool.offsets.length + pool.bytes / pieceBytes;
    const batch = new FillBatch(kit, pipeline, memory, mostPieces, unitBytesOf(form));
    const held = new Int32Array(window).fill(none);
    const freed: number[] = [];
    const submit = (): void => {
      batch.submit();
      for (const slot of freed) pool.free(slot);
      freed.length = 0;
    };
    const allocate = (): void => {
      for (let index = 0; index < bytes.length; index++) {
        const place = places[index]!;
        if (held[place] !== none) freed.push(held[place]!);
        let slot = pool.allocate(bytes[index]!);
        if (slot === none) {
          submit();
          slot = pool.allocate(bytes[index]!);
        }
        held[place] = slot;
        batch.add(pool.offsets[slot]!, bytes[index]!, index);
      }
    };
    const release = (): void => {
      for (let place = 0; place < window; place++) freed.push(held[place]!);
      held.fill(none);
    };
    return {
      variant,
      async run(iterations) {
        for (let iteration = 0; iteration < iterations; iteration++) {
          allocate();
          release();
          submit();
        }
        await kit.host.wait(kit.device);
      },
      async outputs() {
        allocate();
        const offsets = Array.from(held, (slot) => pool.offsets[slot]!);
        release();
        submit();
        return [await firstsOf(kit, memory, firsts, offsets)];
      },
      dispose: () => kit.dispose(),
    };
  };
}

const forProcessor: FillForm = { lanes: 8, unit: "mat4x4f" };
const forGpu: FillForm = { lanes: 64, unit: "vec4f" };

export const allocPools: Readonly<Record<string, readonly RawVariant[]>> = {
  "allocation churn": [churn],
  "allocation churn with a fill": [
    churnWithFill(2, forProcessor, "8 lanes, twice the slots that are live"),
    churnWithFill(1, forProcessor, "8 lanes, slots used again at once"),
    churnWithFill(2, forGpu, "64 lanes, twice the slots that are live"),
    churnWithFill(classCount, forGpu, "64 lanes, slots for all"),
  ],
};
