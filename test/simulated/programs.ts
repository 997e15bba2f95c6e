/**
 * Programs that tell what a device does with good and with bad calls. They run on the simulated device
 * and on Dawn, and must tell the same.
 */

const { MAP_READ, MAP_WRITE, COPY_SRC, COPY_DST, STORAGE } = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  STORAGE: 0x80,
};

/** Kernels by label: on Dawn from this text, on the simulated device from its table. */
export const copyWordLabel = "copy a word";
const copyWord = `
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> copied: array<u32>;
@compute @workgroup_size(1) fn main() { copied[0] = source[0]; }`;
export const copyWrittenLabel = "copy a written word";
const copyWritten = `
@group(0) @binding(0) var<storage, read_write> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> copied: array<u32>;
@compute @workgroup_size(1) fn main() { copied[0] = source[0]; }`;

/** What became of a call: the scopes that saw an error, and what was thrown or rejected. */
export async function outcome(device: GPUDevice, call: () => unknown): Promise<string> {
  device.pushErrorScope("out-of-memory");
  device.pushErrorScope("validation");
  let thrown = "";
  let waiting: unknown;
  try {
    waiting = call();
  } catch (error) {
    thrown = ` threw ${(error as Error).name}`;
  }
  // Looked at before the promise settles: a submission in between would see scopes that are closed.
  const validation = device.popErrorScope();
  const memory = device.popErrorScope();
  try {
    await waiting;
  } catch (error) {
    thrown = ` rejected ${(error as Error).name}`;
  }
  const seen = [
    (await validation) === null ? "" : " validation",
    (await memory) === null ? "" : " out-of-memory",
  ].join("");
  return `${seen}${thrown}`.trim() || "fine";
}

export type Program = (device: GPUDevice) => Promise<readonly string[]>;

const buffer = (
  device: GPUDevice,
  size: number,
  usage: number,
  mappedAtCreation = false,
): GPUBuffer => device.createBuffer({ label: "program", size, usage, mappedAtCreation });

function submit(device: GPUDevice, record: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder({ label: "program" });
  record(encoder);
  device.queue.submit([encoder.finish()]);
}

async function contents(device: GPUDevice, source: GPUBuffer): Promise<string> {
  const staging = buffer(device, source.size, MAP_READ | COPY_DST);
  submit(device, (encoder) => encoder.copyBufferToBuffer(source, 0, staging, 0, source.size));
  await staging.mapAsync(MAP_READ);
  const text = new Uint8Array(staging.getMappedRange()).join(" ");
  staging.destroy();
  return text;
}

interface Bound {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

function dispatch(device: GPUDevice, source: Bound, copied: Bound, isWritten = false): void {
  const label = isWritten ? copyWrittenLabel : copyWordLabel;
  const layout = device.createBindGroupLayout({
    label,
    entries: [isWritten ? "storage" : "read-only-storage", "storage"].map((type, binding) => ({
      binding,
      visibility: 4,
      buffer: { type: type as GPUBufferBindingType },
    })),
  });
  const module = device.createShaderModule({ label, code: isWritten ? copyWritten : copyWord });
  const pipeline = device.createComputePipeline({
    label,
    layout: device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
    compute: { module },
  });
  const group = device.createBindGroup({
    label,
    layout,
    entries: [source, copied].map((resource, binding) => ({ binding, resource })),
  });
  submit(device, (encoder) => {
    const pass = encoder.beginComputePass({ label });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
  });
}

export const programs: Readonly<Record<string, Program>> = {
  async "which usages go together"(device) {
    const told: string[] = [];
    for (const usage of [
      MAP_READ | COPY_DST,
      MAP_WRITE | COPY_SRC,
      MAP_READ | COPY_SRC,
      MAP_WRITE | COPY_DST,
      MAP_READ | MAP_WRITE,
      MAP_READ | STORAGE,
      COPY_SRC | COPY_DST | STORAGE,
      0,
    ]) {
      told.push(await outcome(device, () => buffer(device, 64, usage).destroy()));
    }
    return told;
  },

  async "sizes of buffers"(device) {
    const made = (size: number, isMapped: boolean): Promise<string> =>
      outcome(device, () => buffer(device, size, COPY_SRC | COPY_DST, isMapped).destroy());
    return [
      await made(4, true),
      await made(6, true),
      await made(6, false),
      await made(device.limits.maxBufferSize * 2, false),
    ];
  },

  async "mapping and its states"(device) {
    const written = buffer(device, 64, MAP_WRITE | COPY_SRC);
    const read = buffer(device, 64, MAP_READ | COPY_DST);
    const plain = buffer(device, 64, COPY_SRC);
    const told = [
      await outcome(device, () => written.mapAsync(MAP_READ)),
      await outcome(device, () => plain.mapAsync(MAP_WRITE)),
      await outcome(device, () => written.mapAsync(MAP_WRITE, 4, 8)),
      await outcome(device, () => written.mapAsync(MAP_WRITE, 8, 6)),
      await outcome(device, () => written.mapAsync(MAP_WRITE, 56, 16)),
      await outcome(device, () => written.getMappedRange()),
      await outcome(device, () => written.mapAsync(MAP_WRITE, 8, 32)),
      written.mapState,
      await outcome(device, () => written.mapAsync(MAP_WRITE)),
      await outcome(device, () => written.getMappedRange(8, 8)),
      await outcome(device, () => written.getMappedRange(8, 16)),
      await outcome(device, () => written.getMappedRange(16, 8)),
      await outcome(device, () => written.getMappedRange(20, 4)),
      await outcome(device, () => written.getMappedRange(24, 6)),
      await outcome(device, () => written.getMappedRange(0, 8)),
      await outcome(device, () => written.getMappedRange(40, 8)),
    ];
    const nameOf = async (mapping: Promise<unknown>): Promise<string> =>
      await mapping.then(
        () => "mapped",
        (error: unknown) => (error as Error).name,
      );
    // Without a task in between: whether it would have been mapped by then is nobody's to say.
    const pending = [read.mapAsync(MAP_READ), read.mapAsync(MAP_READ)].map(nameOf);
    told.push(read.mapState);
    read.unmap();
    told.push(...(await Promise.all(pending)), read.mapState);
    written.unmap();
    await written.mapAsync(MAP_WRITE);
    const view = new Uint8Array(written.getMappedRange());
    written.unmap();
    told.push(String(view.length));
    for (const made of [written, read, plain]) made.destroy();
    told.push(await outcome(device, () => plain.mapAsync(MAP_WRITE)));
    return told;
  },

  async "what is mapped reaches the device when it is unmapped"(device) {
    const source = buffer(device, 16, COPY_SRC, true);
    new Uint8Array(source.getMappedRange()).set([1, 2, 3, 4, 5, 6, 7, 8]);
    source.unmap();
    const staging = buffer(device, 16, MAP_WRITE | COPY_SRC);
    await staging.mapAsync(MAP_WRITE, 8, 8);
    new Uint8Array(staging.getMappedRange(8, 8)).fill(9);
    staging.unmap();
    const target = buffer(device, 16, COPY_SRC | COPY_DST);
    submit(device, (encoder) => {
      encoder.copyBufferToBuffer(source, 0, target, 0, 8);
      encoder.copyBufferToBuffer(staging, 8, target, 8, 8);
    });
    const told = [await contents(device, target)];
    for (const made of [source, staging, target]) made.destroy();
    return told;
  },

  async "copies and clears"(device) {
    const a = buffer(device, 64, COPY_SRC | COPY_DST);
    const b = buffer(device, 64, COPY_SRC | COPY_DST);
    const sourceOnly = buffer(device, 64, COPY_SRC);
    const targetOnly = buffer(device, 64, COPY_DST);
    const copy = (
      from: GPUBuffer,
      at: number,
      to: GPUBuffer,
      into: number,
      size: number,
    ): Promise<string> =>
      outcome(device, () =>
        submit(device, (encoder) => encoder.copyBufferToBuffer(from, at, to, into, size)),
      );
    const clear = (target: GPUBuffer, at: number, size: number): Promise<string> =>
      outcome(device, () => submit(device, (encoder) => encoder.clearBuffer(target, at, size)));
    const told = [
      await copy(a, 0, b, 0, 64),
      await copy(a, 0, a, 32, 16),
      await copy(a, 2, b, 0, 16),
      await copy(a, 0, b, 2, 16),
      await copy(a, 0, b, 0, 6),
      await copy(a, 52, b, 0, 16),
      await copy(targetOnly, 0, b, 0, 16),
      await copy(a, 0, sourceOnly, 0, 16),
      await clear(a, 0, 64),
      await clear(a, 2, 8),
      await clear(a, 0, 6),
      await clear(a, 60, 8),
      await clear(sourceOnly, 0, 8),
    ];
    for (const made of [a, b, sourceOnly, targetOnly]) made.destroy();
    return told;
  },

  async "writes by the queue"(device) {
    const target = buffer(device, 32, COPY_SRC | COPY_DST);
    const other = buffer(device, 32, COPY_SRC);
    const words = new Uint32Array([1, 2, 3, 4]);
    const write = (
      to: GPUBuffer,
      at: number,
      data: Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
      first?: number,
      count?: number,
    ): Promise<string> =>
      outcome(device, () => device.queue.writeBuffer(to, at, data, first, count));
    const told = [
      await write(target, 4, words, 1, 2),
      await write(target, 2, words),
      await write(target, 20, words),
      await write(target, 0, new Uint8Array(6)),
      await write(target, 0, words, 3, 2),
      await write(other, 0, words),
      await contents(device, target),
    ];
    target.destroy();
    told.push(await write(target, 0, words));
    other.destroy();
    return told;
  },

  async "a write by the queue comes before what is submitted later"(device) {
    const source = buffer(device, 8, COPY_SRC | COPY_DST);
    const target = buffer(device, 8, COPY_SRC | COPY_DST);
    const encoder = device.createCommandEncoder({ label: "late" });
    encoder.copyBufferToBuffer(source, 0, target, 0, 8);
    device.queue.writeBuffer(source, 0, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
    device.queue.submit([encoder.finish()]);
    device.queue.writeBuffer(source, 0, new Uint8Array(8));
    const told = [await contents(device, target)];
    for (const made of [source, target]) made.destroy();
    return told;
  },

  async "submitting what is mapped or destroyed"(device) {
    const mapped = buffer(device, 16, MAP_WRITE | COPY_SRC, true);
    const gone = buffer(device, 16, COPY_SRC);
    const target = buffer(device, 16, COPY_DST);
    gone.destroy();
    const copy = (from: GPUBuffer): Promise<string> =>
      outcome(device, () =>
        submit(device, (encoder) => encoder.copyBufferToBuffer(from, 0, target, 0, 16)),
      );
    const told = [await copy(mapped), await copy(gone)];
    mapped.unmap();
    told.push(await copy(mapped));
    for (const made of [mapped, target]) made.destroy();
    return told;
  },

  async "how one buffer may be used in a dispatch"(device) {
    const unit = Math.max(256, device.limits.minStorageBufferOffsetAlignment);
    const usage = STORAGE | COPY_SRC | COPY_DST;
    const a = buffer(device, 4 * unit, usage);
    const b = buffer(device, 4 * unit, usage);
    const noStorage = buffer(device, unit, COPY_SRC);
    const at = (made: GPUBuffer, offset: number, size = unit): Bound => ({
      buffer: made,
      offset,
      size,
    });
    const run = (from: Bound, to: Bound, isWritten = false): Promise<string> =>
      outcome(device, () => dispatch(device, from, to, isWritten));
    device.queue.writeBuffer(a, unit, new Uint32Array([77]));
    const told = [
      await run(at(a, unit), at(b, 0)),
      await run(at(a, 0), at(a, unit)),
      await run(at(a, 0), at(a, 2 * unit), true),
      await run(at(a, 0, 2 * unit), at(a, unit), true),
      await run(at(a, 4), at(b, 0)),
      await run(at(a, 3 * unit, 2 * unit), at(b, 0)),
      await run(at(a, 0, 6), at(b, 0)),
      await run(at(noStorage, 0), at(b, 0)),
      (await contents(device, b)).slice(0, 10),
    ];
    for (const made of [a, b, noStorage]) made.destroy();
    return told;
  },

  async "error scopes: the innermost that fits, its first error, and none open"(device) {
    device.pushErrorScope("validation");
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    buffer(device, 4, 0).destroy();
    buffer(device, 4, 0).destroy();
    const inner = await device.popErrorScope();
    buffer(device, 4, 0).destroy();
    const memory = await device.popErrorScope();
    const outer = await device.popErrorScope();
    const none = await device.popErrorScope().then(
      () => "gave",
      (error: unknown) => (error as Error).name,
    );
    return [inner !== null, memory !== null, outer !== null, none].map(String);
  },
};

/** Copies, clears, writes and kernels in any order: what is left must be the same. */
export async function randomContents(
  device: GPUDevice,
  next: (below: number) => number,
  steps: number,
): Promise<string> {
  const unit = Math.max(256, device.limits.minStorageBufferOffsetAlignment);
  const size = 4 * unit;
  const buffers = [0, 1, 2].map(() => buffer(device, size, STORAGE | COPY_SRC | COPY_DST));
  for (let step = 0; step < steps; step++) {
    const from = buffers[next(3)]!;
    const to = buffers.filter((made) => made !== from)[next(2)]!;
    const [start, into] = [4 * next(size / 8), 4 * next(size / 8)];
    const length = 4 * (1 + next(size / 8));
    const kind = next(4);
    if (kind === 0) {
      submit(device, (encoder) => encoder.copyBufferToBuffer(from, start, to, into, length));
    } else if (kind === 1) {
      submit(device, (encoder) => encoder.clearBuffer(to, into, length));
    } else if (kind === 2) {
      device.queue.writeBuffer(
        to,
        into,
        Uint8Array.from({ length }, () => next(256)),
      );
    } else {
      const bound = (made: GPUBuffer): Bound => ({
        buffer: made,
        offset: unit * next(4),
        size: unit,
      });
      dispatch(device, bound(from), bound(to), next(2) === 0);
    }
  }
  const left: string[] = [];
  for (const made of buffers) {
    left.push(await contents(device, made));
    made.destroy();
  }
  return left.join("\n");
}
