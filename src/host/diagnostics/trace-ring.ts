/**
 * The latest allocations and frees, in a ring of fixed size: nothing is allocated while it records. Its
 * record can be written in the format that the bench replays.
 */

import type { RegionKind } from "../statistics.ts";

/** One event of the record. */
export interface TraceEvent {
  readonly kind: "allocate" | "free";
  readonly region: RegionKind;
  /** The same for an allocation and its free. */
  readonly id: number;
  readonly byteLength: number;
  readonly label: string;
  /** Milliseconds, by the clock of the diagnostics. */
  readonly at: number;
}

const regionKinds: readonly RegionKind[] = [
  "hot",
  "pinned",
  "general",
  "device-arena",
  "device-heap",
];

/** Labels have 16 bits in a trace; what comes after the last is called so. */
const mostLabels = 2 ** 16 - 1;
const otherLabel = "(other)";

export class TraceRing {
  readonly capacity: number;
  readonly #isFree: Uint8Array;
  readonly #regions: Uint8Array;
  readonly #ids: Float64Array;
  readonly #bytes: Float64Array;
  readonly #labels: Uint16Array;
  readonly #times: Float64Array;
  readonly #names: string[] = [otherLabel];
  readonly #indices = new Map<string, number>();
  #count = 0;

  /** @param capacity - events; each takes 28 bytes */
  constructor(capacity: number) {
    this.capacity = capacity;
    this.#isFree = new Uint8Array(capacity);
    this.#regions = new Uint8Array(capacity);
    this.#ids = new Float64Array(capacity);
    this.#bytes = new Float64Array(capacity);
    this.#labels = new Uint16Array(capacity);
    this.#times = new Float64Array(capacity);
  }

  /** Events so far, those that the ring has lost included. */
  get recordedCount(): number {
    return this.#count;
  }

  record(
    isFree: boolean,
    region: RegionKind,
    id: number,
    byteLength: number,
    label: string,
    at: number,
  ): void {
    const slot = this.#count++ % this.capacity;
    this.#isFree[slot] = isFree ? 1 : 0;
    this.#regions[slot] = regionKinds.indexOf(region);
    this.#ids[slot] = id;
    this.#bytes[slot] = byteLength;
    this.#labels[slot] = this.#labelIndex(label);
    this.#times[slot] = at;
  }

  #labelIndex(label: string): number {
    let index = this.#indices.get(label);
    if (index !== undefined) return index;
    if (this.#names.length > mostLabels) return 0;
    index = this.#names.push(label) - 1;
    this.#indices.set(label, index);
    return index;
  }

  /** What the ring holds, oldest first. */
  *events(): Generator<TraceEvent, void> {
    for (let at = Math.max(0, this.#count - this.capacity); at < this.#count; at++) {
      const slot = at % this.capacity;
      yield {
        kind: this.#isFree[slot] === 1 ? "free" : "allocate",
        region: regionKinds[this.#regions[slot]!]!,
        id: this.#ids[slot]!,
        byteLength: this.#bytes[slot]!,
        label: this.#names[this.#labels[slot]!]!,
        at: this.#times[slot]!,
      };
    }
  }

  /**
   * The record as text, for `npm run bench -- --replay FILE`: of all regions, or of those named. A free
   * of what was allocated before the ring's first event is left out.
   */
  toText(regions: readonly RegionKind[] = regionKinds): string {
    const live = new Map<number, number>();
    const lines: string[] = [];
    let liveBytes = 0;
    let peakLiveBytes = 0;
    for (const { kind, region, id, byteLength, label } of this.events()) {
      if (!regions.includes(region)) continue;
      if (kind === "free") {
        const bytes = live.get(id);
        if (bytes === undefined) continue;
        live.delete(id);
        liveBytes -= bytes;
        lines.push(`f ${id}`);
        continue;
      }
      live.set(id, byteLength);
      liveBytes += byteLength;
      peakLiveBytes = Math.max(peakLiveBytes, liveBytes);
      lines.push(`a ${id} ${byteLength} ${this.#indices.get(label) ?? 0}`);
    }
    const header = {
      format: "moorage-trace",
      version: 1,
      generator: "recorded",
      seed: 0,
      architecture: `recorded by a runtime: ${regions.join(", ")}`,
      parameters: { capacity: this.capacity, recorded: this.#count },
      labels: this.#names,
      peakLiveBytes,
      eventCount: lines.length,
    };
    return `${[JSON.stringify(header), ...lines].join("\n")}\n`;
  }
}
