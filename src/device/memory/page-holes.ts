/**
 * Ranges of an arena's page that came back before its end. A few are enough: what a scope disposes early
 * is mostly taken again by the next operation, which is of the same size.
 */

interface Hole {
  start: number;
  end: number;
}

const mostHoles = 16;

export class PageHoles {
  /** By start; no two of them touch. */
  readonly #holes: Hole[] = [];

  get byteLength(): number {
    let bytes = 0;
    for (const { start, end } of this.#holes) bytes += end - start;
    return bytes;
  }

  fits(byteLength: number): boolean {
    return this.#holes.some(({ start, end }) => end - start >= byteLength);
  }

  /** The start of a range of `byteLength` bytes, which is taken; -1 where there is none. O(holes). */
  take(byteLength: number): number {
    for (let at = 0; at < this.#holes.length; at++) {
      const hole = this.#holes[at]!;
      if (hole.end - hole.start < byteLength) continue;
      const { start } = hole;
      hole.start += byteLength;
      if (hole.start === hole.end) this.#holes.splice(at, 1);
      return start;
    }
    return -1;
  }

  /** Adds a range. False where there are too many to remember another. O(holes). */
  add(start: number, end: number): boolean {
    let at = 0;
    while (at < this.#holes.length && this.#holes[at]!.start < start) at++;
    const before = this.#holes[at - 1];
    const after = this.#holes[at];
    if (before?.end === start) {
      before.end = end;
      if (after?.start !== end) return true;
      before.end = after.end;
      this.#holes.splice(at, 1);
      return true;
    }
    if (after?.start === end) {
      after.start = start;
      return true;
    }
    if (this.#holes.length === mostHoles) return false;
    this.#holes.splice(at, 0, { start, end });
    return true;
  }

  /** Where the used part of the page ends, once the hole at its end is no part of it any more. */
  shrink(used: number): number {
    const last = this.#holes.at(-1);
    if (last?.end !== used) return used;
    this.#holes.pop();
    return last.start;
  }
}
