/** Which raw views of moving blocks are held, and whether one still is when its block moves. */

import type { Advisor } from "./advisor.ts";

interface Handed {
  readonly view: WeakRef<ArrayBufferView>;
  /** The task that asked for it: in that task nobody can tell a held view from a dropped one. */
  readonly task: number;
  readonly label: string;
}

export class ViewWatch {
  readonly #advisor: Advisor;
  readonly #handed = new Map<number, Handed>();

  constructor(advisor: Advisor) {
    this.#advisor = advisor;
  }

  /** @param key - the block's entry and generation */
  handed(key: number, view: ArrayBufferView, label: string): void {
    this.#handed.set(key, { view: new WeakRef(view), task: this.#advisor.enterTask(), label });
  }

  moved(key: number): void {
    const handed = this.#handed.get(key);
    if (handed === undefined) return;
    this.#handed.delete(key);
    if (handed.task === this.#advisor.enterTask() || handed.view.deref() === undefined) return;
    this.#advisor.viewMoved(handed.label);
  }

  ended(key: number): void {
    this.#handed.delete(key);
  }
}
