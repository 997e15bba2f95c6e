/**
 * The open batch: dispatches in one long compute pass, copies beside it, and what is hoisted before
 * both. Nothing is decided here; the command stream says what is recorded, and when it is submitted.
 */

import type { Variant } from "./kernel.ts";
import type { Dispatch, Launcher } from "./launch.ts";
import type { ParameterRing } from "./parameter-ring.ts";

const copyDescriptor: GPUCommandEncoderDescriptor = { label: "moorage copy" };

export class Recorder {
  /** Dispatches recorded so far. */
  dispatchCount = 0;
  /** Batches submitted so far. */
  submitCount = 0;
  /** Told before a batch is submitted: mapped buffers that it copies from are unmapped then. */
  beforeSubmit: () => void = () => {};
  /** Told after it was. */
  afterSubmit: () => void = () => {};
  /** Serial of the open batch, and of the copies hoisted before its work. */
  batch = 2;
  /** Told when something is recorded into an empty batch. */
  readonly #opened: () => void;
  readonly #device: GPUDevice;
  readonly #ring: ParameterRing;
  readonly #launcher: Launcher;
  readonly #words: Uint32Array;
  #before: GPUCommandEncoder | null = null;
  #main: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #pipeline: GPUComputePipeline | null = null;
  #group: GPUBindGroup | null = null;
  readonly #ringOffset = new Uint32Array(1);

  constructor(
    device: GPUDevice,
    ring: ParameterRing,
    launcher: Launcher,
    words: Uint32Array,
    opened: () => void,
  ) {
    this.#device = device;
    this.#ring = ring;
    this.#launcher = launcher;
    this.#words = words;
    this.#opened = opened;
  }

  /** Serial of the open batch's work in the order of the recording. */
  get ordered(): number {
    return this.batch + 1;
  }

  get hasWork(): boolean {
    return this.#before !== null || this.#main !== null;
  }

  /** Records the dispatch that the launcher resolved last. O(operands). */
  dispatch(dispatch: Dispatch, variant: Variant, wordCount: number): void {
    if (this.#ring.used === this.#ring.capacity) this.submit();
    const launcher = this.#launcher;
    for (let operand = 0; operand < dispatch.blocks.length; operand++) {
      this.#words[operand] = launcher.elementOffsets[operand]!;
      launcher.slabs[operand]!.use(
        launcher.starts[operand]!,
        launcher.extents[operand]!,
        this.ordered,
      );
    }
    const pass = this.#openPass();
    const group = launcher.bindGroup();
    if (variant.pipeline !== this.#pipeline) {
      this.#pipeline = variant.pipeline;
      pass.setPipeline(variant.pipeline!);
    }
    if (launcher.dynamicCount > 0) {
      // The overload with a typed array: Chromium records it nine times faster than a plain array.
      pass.setBindGroup(0, group, launcher.dynamicOffsets, 0, launcher.dynamicCount);
      this.#group = null;
    } else if (group !== this.#group) {
      this.#group = group;
      pass.setBindGroup(0, group);
    }
    this.#writeParameters(wordCount);
    pass.setBindGroup(1, this.#ring.bindGroup, this.#ringOffset, 0, 1);
    pass.dispatchWorkgroups(dispatch.x, dispatch.y, dispatch.z);
    this.dispatchCount++;
  }

  #writeParameters(wordCount: number): void {
    const ring = this.#ring;
    const base = ring.used * ring.strideWords;
    for (let word = 0; word < wordCount; word++) ring.words[base + word] = this.#words[word]!;
    this.#ringOffset[0] = ring.used * ring.strideBytes;
    ring.used++;
  }

  #openPass(): GPUComputePassEncoder {
    if (this.#pass !== null) return this.#pass;
    this.#pass = this.#openMain().beginComputePass({ label: `moorage pass ${this.batch / 2}` });
    return this.#pass;
  }

  #openMain(): GPUCommandEncoder {
    if (this.#main !== null) return this.#main;
    this.#main = this.#device.createCommandEncoder({ label: `moorage batch ${this.batch / 2}` });
    this.#opened();
    return this.#main;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
    this.#group = null;
  }

  /** The encoder for a copy in the order of the recording: it ends the open pass. */
  copies(): GPUCommandEncoder {
    const main = this.#openMain();
    this.#endPass();
    return main;
  }

  /** The encoder for a copy that may overtake the whole batch. */
  hoistedCopies(): GPUCommandEncoder {
    this.#before ??= this.#device.createCommandEncoder({
      label: `moorage uploads ${this.batch / 2}`,
    });
    this.#opened();
    return this.#before;
  }

  /** Submits a copy by itself: there is no batch open, or the copy overtakes it. */
  submitCopy(
    source: GPUBuffer,
    sourceOffset: number,
    target: GPUBuffer,
    targetOffset: number,
    byteLength: number,
  ): void {
    const encoder = this.#device.createCommandEncoder(copyDescriptor);
    encoder.copyBufferToBuffer(source, sourceOffset, target, targetOffset, byteLength);
    this.#device.queue.submit([encoder.finish()]);
    this.submitCount++;
  }

  /** Submits the batch, if there is one. */
  submit(): void {
    if (!this.hasWork) return;
    this.beforeSubmit();
    this.#endPass();
    this.#ring.flush();
    const buffers: GPUCommandBuffer[] = [];
    if (this.#before !== null) buffers.push(this.#before.finish());
    if (this.#main !== null) buffers.push(this.#main.finish());
    this.#before = null;
    this.#main = null;
    this.#device.queue.submit(buffers);
    this.submitCount++;
    this.batch += 2;
    this.afterSubmit();
  }

  /** Forgets the batch: the device is lost. */
  abandon(): void {
    this.#pass = null;
    this.#main = null;
    this.#before = null;
  }
}
