/** A buffer in plain memory, with the map states of WebGPU. */

import { operationError } from "./errors.ts";
import type { SimulatedDevice } from "./simulated-device.ts";

/** `GPUBufferUsage` by value: a test may run where no platform has set its globals. */
export const usages = {
  mapRead: 0x1,
  mapWrite: 0x2,
  copySource: 0x4,
  copyTarget: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;

interface MappedRange {
  readonly start: number;
  readonly end: number;
  readonly array: ArrayBuffer;
}

interface Mapping {
  readonly mode: "read" | "write";
  readonly start: number;
  readonly end: number;
  readonly ranges: MappedRange[];
}

export class SimulatedBuffer {
  label: string;
  readonly size: number;
  readonly usage: number;
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly #device: SimulatedDevice;
  #mapping: Mapping | null = null;
  #pending: { readonly reject: (reason: unknown) => void } | null = null;
  isDestroyed = false;
  /** A buffer that the device refused: every use of it is an error, and nothing else happens. */
  readonly isInvalid: boolean;

  constructor(device: SimulatedDevice, descriptor: GPUBufferDescriptor, isInvalid: boolean) {
    this.#device = device;
    this.label = descriptor.label ?? "";
    this.size = descriptor.size;
    this.usage = descriptor.usage;
    this.isInvalid = isInvalid;
    // What is mapped from the start has memory on the host, even where the device has none.
    const hasMemory = !isInvalid || descriptor.mappedAtCreation === true;
    this.memory = new Uint8Array(hasMemory ? descriptor.size : 0);
    if (descriptor.mappedAtCreation === true) {
      this.#mapping = { mode: "write", start: 0, end: descriptor.size, ranges: [] };
    }
  }

  get mapState(): GPUBufferMapState {
    if (this.#mapping !== null) return "mapped";
    return this.#pending === null ? "unmapped" : "pending";
  }

  mapAsync(mode: number, offset = 0, size = Math.max(0, this.size - offset)): Promise<undefined> {
    const refuse = (message: string): Promise<undefined> => {
      this.#device.errors.report("validation", `mapAsync of "${this.label}": ${message}`);
      return Promise.reject(operationError(message));
    };
    this.#device.step();
    if (this.#device.isLost) return Promise.reject(operationError("the device is lost"));
    if (this.#pending !== null) {
      return Promise.reject(operationError("a mapping is pending already"));
    }
    if (this.isDestroyed) return refuse("the buffer is destroyed");
    if (this.isInvalid) return refuse("the buffer is invalid");
    if (this.#mapping !== null) return refuse("the buffer is mapped");
    if (mode !== usages.mapRead && mode !== usages.mapWrite) return refuse("the mode is none");
    if ((this.usage & mode) === 0) return refuse("the usage does not allow the mode");
    if (offset % 8 !== 0 || size % 4 !== 0) return refuse("the range is not aligned");
    if (offset + size > this.size) return refuse("the range leaves the buffer");
    if (this.#device.faults.hits("mapAsync")) return Promise.reject(operationError("injected"));
    return new Promise((resolve, reject) => {
      const pending = { reject };
      this.#pending = pending;
      setImmediate(() => {
        // Unmapped or destroyed meanwhile, and rejected then.
        if (this.#pending !== pending) return;
        this.#pending = null;
        if (this.#device.isLost) {
          reject(operationError("the device was lost"));
          return;
        }
        const which = mode === usages.mapRead ? "read" : "write";
        this.#mapping = { mode: which, start: offset, end: offset + size, ranges: [] };
        resolve(undefined);
      });
    });
  }

  getMappedRange(offset = 0, size = Math.max(0, this.size - offset)): ArrayBuffer {
    const mapping = this.#mapping;
    if (mapping === null) throw operationError(`"${this.label}" is not mapped`);
    if (offset % 8 !== 0 || size % 4 !== 0) throw operationError("the range is not aligned");
    const end = offset + size;
    if (offset < mapping.start || end > mapping.end) {
      throw operationError("the range leaves the mapping");
    }
    if (mapping.ranges.some((range) => offset < range.end && range.start < end)) {
      throw operationError("the range overlaps one that was taken");
    }
    const array = this.memory.slice(offset, end).buffer;
    mapping.ranges.push({ start: offset, end, array });
    return array;
  }

  unmap(): undefined {
    this.#pending?.reject(new DOMException("unmapped while mapping", "AbortError"));
    this.#pending = null;
    const mapping = this.#mapping;
    this.#mapping = null;
    for (const { start, array } of mapping?.ranges ?? []) {
      // Nothing was written into what was mapped for reading, as far as the device knows.
      if (mapping!.mode === "write" && !this.isDestroyed) {
        this.memory.set(new Uint8Array(array), start);
      }
      structuredClone(array, { transfer: [array] });
    }
  }

  destroy(): undefined {
    this.unmap();
    this.isDestroyed = true;
    this.#device.buffers.delete(this);
  }
}
