/**
 * Command encoders: commands are checked as they are recorded, and run when they are submitted. The
 * first mistake makes the encoder invalid; it is told when the encoder is finished.
 */

import { usages } from "./simulated-buffer.ts";
import type { SimulatedBuffer } from "./simulated-buffer.ts";
import type { SimulatedDevice } from "./simulated-device.ts";

export type BindingUse = "read" | "read_write" | "uniform";

export interface SimulatedLayout {
  readonly label: string;
  readonly uses: readonly BindingUse[];
  readonly hasDynamicOffset: readonly boolean[];
}

export interface SimulatedBinding {
  readonly buffer: SimulatedBuffer;
  readonly offset: number;
  readonly size: number;
}

export interface SimulatedGroup {
  readonly label: string;
  readonly layout: SimulatedLayout;
  readonly bindings: readonly SimulatedBinding[];
  readonly isInvalid: boolean;
}

export interface SimulatedPipeline {
  readonly label: string;
  /** The WGSL that it was made of. */
  readonly code: string;
  readonly isInvalid: boolean;
}

/** What a kernel is given where a test says what it does: the bytes of each binding, in order. */
export type SimulatedKernel = (
  bindings: readonly Uint8Array<ArrayBuffer>[],
  groups: readonly [number, number, number],
  code: string,
) => void;

export interface SimulatedCommands {
  readonly label: string;
  readonly error: string | null;
  readonly buffers: ReadonlySet<SimulatedBuffer>;
  readonly run: () => void;
}

export class SimulatedEncoder {
  readonly label: string;
  readonly #device: SimulatedDevice;
  readonly #commands: (() => void)[] = [];
  readonly #buffers = new Set<SimulatedBuffer>();
  #error: string | null = null;
  #isFinished = false;
  #isInPass = false;

  constructor(device: SimulatedDevice, label: string) {
    this.#device = device;
    this.label = label;
  }

  refuse(message: string): void {
    this.#error ??= `encoder "${this.label}": ${message}`;
  }

  use(buffer: SimulatedBuffer): void {
    this.#buffers.add(buffer);
    if (buffer.isInvalid) this.refuse(`buffer "${buffer.label}" is invalid`);
  }

  add(command: () => void): void {
    this.#commands.push(command);
  }

  #open(what: string): void {
    this.#device.step();
    if (this.#isFinished) this.refuse(`${what} after finish`);
    if (this.#isInPass) this.refuse(`${what} inside a pass`);
  }

  copyBufferToBuffer(
    source: SimulatedBuffer,
    sourceOffset: number,
    target: SimulatedBuffer,
    targetOffset: number,
    size: number,
  ): undefined {
    this.#open("a copy");
    this.use(source);
    this.use(target);
    if (source === target) this.refuse("a copy inside one buffer");
    if ((source.usage & usages.copySource) === 0) this.refuse("the source has no COPY_SRC");
    if ((target.usage & usages.copyTarget) === 0) this.refuse("the target has no COPY_DST");
    if (sourceOffset % 4 !== 0 || targetOffset % 4 !== 0 || size % 4 !== 0) {
      this.refuse("a copy is not aligned to 4");
    }
    if (sourceOffset + size > source.size || targetOffset + size > target.size) {
      this.refuse("a copy leaves its buffer");
    }
    this.add(() =>
      target.memory.set(source.memory.subarray(sourceOffset, sourceOffset + size), targetOffset),
    );
  }

  clearBuffer(buffer: SimulatedBuffer, offset = 0, size = buffer.size - offset): undefined {
    this.#open("a clear");
    this.use(buffer);
    if ((buffer.usage & usages.copyTarget) === 0) this.refuse("what is cleared has no COPY_DST");
    if (offset % 4 !== 0 || size % 4 !== 0) this.refuse("a clear is not aligned to 4");
    if (offset + size > buffer.size) this.refuse("a clear leaves its buffer");
    this.add(() => buffer.memory.fill(0, offset, offset + size));
  }

  beginComputePass(descriptor: { readonly label?: string } = {}): SimulatedPass {
    this.#open("a pass");
    this.#isInPass = true;
    return new SimulatedPass(this.#device, this, descriptor.label ?? "", () => {
      this.#isInPass = false;
    });
  }

  finish(descriptor: { readonly label?: string } = {}): SimulatedCommands {
    this.#device.step();
    if (this.#isFinished) this.refuse("finished twice");
    if (this.#isInPass) this.refuse("finished inside a pass");
    this.#isFinished = true;
    const error = this.#error;
    if (error !== null) this.#device.errors.report("validation", error);
    const commands = this.#commands;
    return {
      label: descriptor.label ?? "",
      error,
      buffers: this.#buffers,
      run: () => {
        for (const command of commands) command();
      },
    };
  }
}

class SimulatedPass {
  readonly label: string;
  readonly #device: SimulatedDevice;
  readonly #encoder: SimulatedEncoder;
  readonly #ended: () => void;
  #pipeline: SimulatedPipeline | null = null;
  readonly #groups = new Map<number, { group: SimulatedGroup; offsets: readonly number[] }>();

  constructor(
    device: SimulatedDevice,
    encoder: SimulatedEncoder,
    label: string,
    ended: () => void,
  ) {
    this.#device = device;
    this.#encoder = encoder;
    this.label = label;
    this.#ended = ended;
  }

  setPipeline(pipeline: SimulatedPipeline): undefined {
    if (pipeline.isInvalid) this.#encoder.refuse(`pipeline "${pipeline.label}" is invalid`);
    this.#pipeline = pipeline;
  }

  setBindGroup(
    index: number,
    group: SimulatedGroup,
    offsets: Iterable<number> = [],
    start = 0,
    length?: number,
  ): undefined {
    if (group.isInvalid) this.#encoder.refuse(`bind group "${group.label}" is invalid`);
    const all = [...offsets];
    const own = all.slice(start, length === undefined ? undefined : start + length);
    const dynamic = group.layout.hasDynamicOffset.filter(Boolean).length;
    if (own.length !== dynamic) {
      this.#encoder.refuse(`${own.length} dynamic offsets, and the layout has ${dynamic}`);
    }
    this.#groups.set(index, { group, offsets: own });
  }

  setImmediates(): undefined {}

  dispatchWorkgroups(x: number, y = 1, z = 1): undefined {
    this.#device.step();
    const pipeline = this.#pipeline;
    if (pipeline === null) {
      this.#encoder.refuse("a dispatch without a pipeline");
      return;
    }
    const most = this.#device.limits.maxComputeWorkgroupsPerDimension;
    if (Math.max(x, y, z) > most) this.#encoder.refuse(`a dispatch of more than ${most} groups`);
    const used = this.#bindings();
    this.#requireOneUse(used);
    this.#encoder.add(() => {
      const kernel = this.#device.kernels.get(pipeline.label);
      if (kernel === undefined) return;
      const bytes = used.map(({ buffer, start, end }) => buffer.memory.subarray(start, end));
      kernel(bytes, [x, y, z], pipeline.code);
    });
  }

  #bindings(): { buffer: SimulatedBuffer; start: number; end: number; use: BindingUse }[] {
    return [...this.#groups]
      .toSorted(([a], [b]) => a - b)
      .flatMap(([, { group, offsets }]) => {
        let next = 0;
        return group.bindings.map(({ buffer, offset, size }, index) => {
          const dynamic = group.layout.hasDynamicOffset[index] === true ? offsets[next++]! : 0;
          const use = group.layout.uses[index]!;
          const alignment =
            use === "uniform"
              ? this.#device.limits.minUniformBufferOffsetAlignment
              : this.#device.limits.minStorageBufferOffsetAlignment;
          if (dynamic % alignment !== 0) this.#encoder.refuse("a dynamic offset is not aligned");
          const start = offset + dynamic;
          if (start + size > buffer.size)
            this.#encoder.refuse("a dynamic offset leaves its buffer");
          this.#encoder.use(buffer);
          return { buffer, start, end: start + size, use };
        });
      });
  }

  /** One buffer is read or written in a dispatch, as a whole; written twice only in disjoint ranges. */
  #requireOneUse(
    used: readonly { buffer: SimulatedBuffer; start: number; end: number; use: BindingUse }[],
  ): void {
    for (const [at, one] of used.entries()) {
      for (const other of used.slice(at + 1)) {
        if (one.buffer !== other.buffer) continue;
        const writes = [one, other].filter(({ use }) => use === "read_write").length;
        if (writes === 1) {
          this.#encoder.refuse(`"${one.buffer.label}" is read and written in one dispatch`);
        }
        if (writes === 2 && one.start < other.end && other.start < one.end) {
          this.#encoder.refuse(`"${one.buffer.label}" is written twice in overlapping ranges`);
        }
      }
    }
  }

  end(): undefined {
    this.#device.step();
    this.#ended();
  }
}
