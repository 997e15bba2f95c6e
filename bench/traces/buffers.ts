/** Where the models of allocators get their buffers from: from a device, or from nowhere. */

/** A buffer, and the most that a policy needs to know of it. */
export interface PooledBuffer {
  readonly byteLength: number;
  /** None where buffers are only counted. */
  readonly gpu: GPUBuffer | undefined;
  /** Of the allocation that has it now. */
  requestedBytes: number;
}

/** Counts buffers and makes none. */
export class CountedBuffers {
  #reservedBytes = 0;
  #peakReservedBytes = 0;
  #createdCount = 0;
  #destroyedCount = 0;

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  get peakReservedBytes(): number {
    return this.#peakReservedBytes;
  }

  get createdCount(): number {
    return this.#createdCount;
  }

  get destroyedCount(): number {
    return this.#destroyedCount;
  }

  create(byteLength: number, label: string): PooledBuffer {
    const gpu = this.make(byteLength, label);
    this.#createdCount++;
    this.#reservedBytes += byteLength;
    if (this.#reservedBytes > this.#peakReservedBytes)
      this.#peakReservedBytes = this.#reservedBytes;
    return { byteLength, gpu, requestedBytes: 0 };
  }

  destroy({ byteLength, gpu }: PooledBuffer): void {
    this.#destroyedCount++;
    this.#reservedBytes -= byteLength;
    gpu?.destroy();
    this.destroyed(byteLength);
  }

  settle(): Promise<void> | undefined {
    return undefined;
  }

  protected make(_byteLength: number, _label: string): GPUBuffer | undefined {
    return undefined;
  }

  protected destroyed(_byteLength: number): void {}
}

/** Dawn gives destroyed buffers back once a submission has passed: so much may wait for that. */
const unsettledLimitBytes = 256 * 2 ** 20;

/** Makes buffers on a device, of the usage that tensors have everywhere. */
export class DeviceBuffers extends CountedBuffers {
  readonly #device: GPUDevice;
  #unsettledBytes = 0;

  constructor(device: GPUDevice) {
    super();
    this.#device = device;
  }

  override settle(): Promise<void> | undefined {
    if (this.#unsettledBytes < unsettledLimitBytes) return undefined;
    this.#unsettledBytes = 0;
    const { queue } = this.#device;
    queue.submit([this.#device.createCommandEncoder({ label: "replay: settle" }).finish()]);
    return queue.onSubmittedWorkDone().then(() => undefined);
  }

  protected override make(size: number, label: string): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.#device.createBuffer({ label, size, usage });
  }

  protected override destroyed(byteLength: number): void {
    this.#unsettledBytes += byteLength;
  }
}
