/**
 * The end of everything that was submitted. In Node the queue tells it soonest; in Chromium a mapping is
 * there sooner than `onSubmittedWorkDone` (0.3 ms instead of 0.7, and up to ten times as fast where it was
 * measured elsewhere), so there a few bytes of staging are cleared behind the work, and mapped.
 */

import type { PinnedSlot } from "../../host/pinned/pinned-block.ts";
import type { PinnedSlots } from "../../host/pinned/pinned-slots.ts";
import { gpuBuffer } from "../memory/gpu-mappable.ts";
import { immediate } from "../stream/after-task.ts";

/** What a mapping may be of, and a clear. */
const fenceBytes = 8;

// GPUMapMode by value: WebGPU's globals may be absent.
const mapRead = 1;

export interface FenceParts {
  /** Asked each time: another device may have come. */
  readonly device: () => GPUDevice;
  readonly slots: PinnedSlots;
  /** Whether a buffer that is new may turn out not to be there. */
  readonly isHolding: () => boolean;
}

export class Fence {
  readonly #parts: FenceParts;
  readonly #isMapped: boolean;

  constructor(parts: FenceParts, isMapped = immediate === null) {
    this.#parts = parts;
    this.#isMapped = isMapped;
  }

  /** Settles when the device has done what was submitted so far. */
  async passed(): Promise<void> {
    const slot = this.#isMapped ? this.#slot() : null;
    if (slot === null || !(await this.#isCleared(slot)))
      await this.#parts.device().queue.onSubmittedWorkDone();
  }

  /** Staging that is certain to be there. */
  #slot(): PinnedSlot | null {
    const { slots, isHolding } = this.#parts;
    try {
      const slot = slots.lend(fenceBytes, "readback", "fence");
      if (slot === null || !isHolding()) return slot;
      // For the next time it is there.
      void slots.takeBack(slot);
    } catch {
      // A runtime that is closing makes no buffers, and waits for its device all the same.
    }
    return null;
  }

  async #isCleared(slot: PinnedSlot): Promise<boolean> {
    const { device, slots } = this.#parts;
    const { gpu } = gpuBuffer(slot.buffer);
    try {
      const encoder = device().createCommandEncoder({ label: "moorage fence" });
      encoder.clearBuffer(gpu, 0, fenceBytes);
      device().queue.submit([encoder.finish()]);
      await gpu.mapAsync(mapRead, 0, fenceBytes);
      gpu.unmap();
      return true;
    } catch {
      // The queue says what there is to say.
      slot.state = "lost";
      return false;
    } finally {
      void slots.takeBack(slot);
    }
  }
}
