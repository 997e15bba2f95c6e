/** The device's regions under the tests of the contract, over any runtime. */

import type { DeviceContext } from "../../src/device/context.ts";
import type { DeviceAllocation } from "../../src/device/memory/block-table.ts";
import type { MemoryRegion, Runtime, RuntimeOptions } from "../../src/index.ts";
import { contiguousLayout, Tensor } from "../../src/index.ts";
import { budgetBytes } from "./subject.ts";
import type { Subject } from "./subject.ts";

export interface Parts {
  readonly runtime: Runtime;
  readonly context: DeviceContext;
}

/** Slabs of a quarter of the budget, so that a test can fill them exactly. */
export const quartered: RuntimeOptions = {
  budget: { deviceBytes: budgetBytes },
  slabBytes: budgetBytes / 4,
};

export function partsOf(runtime: Runtime): Parts {
  return { runtime, context: (runtime as unknown as { readonly context: DeviceContext }).context };
}

function subjectOf(
  { runtime, context }: Parts,
  region: MemoryRegion<DeviceAllocation>,
  rest: Pick<Subject<DeviceAllocation>, "stranger" | "recount" | "parents">,
  end: () => void,
): Subject<DeviceAllocation> {
  const { granuleBytes } = context.pool;
  return {
    ...rest,
    region,
    defaultAlignment: granuleBytes,
    maxAlignment: granuleBytes,
    reusesFreed: true,
    write: (block, bytes) => context.transfers.fromArray(bytes, block),
    read: (block) => {
      const layout = contiguousLayout([block.byteLength]);
      return new Tensor(context, block, "uint8", layout, block.label).data();
    },
    range: ({ row }) => {
      const { slab, offset, extent } = context.table;
      const start = offset[row]!;
      return { space: slab[row]!, start, end: start + extent[row]! };
    },
    close: async () => {
      end();
      await runtime.dispose();
    },
  };
}

function extents({ context }: Parts, blocks: readonly DeviceAllocation[]): number {
  return blocks.reduce((bytes, { row }) => bytes + context.table.extent[row]!, 0);
}

export function heapSubject(parts: Parts): Subject<DeviceAllocation> {
  const { context } = parts;
  const stranger = context.arena("another region");
  const rest = {
    stranger,
    parents: [],
    recount: (live: readonly DeviceAllocation[]) => {
      const reservedBytes = context.pool.slabs.reduce((sum, slab) => sum + slab.byteLength, 0);
      return { reservedBytes, freeBytes: reservedBytes - extents(parts, live) };
    },
  };
  return subjectOf(parts, context.heap, rest, () => stranger.end());
}

export function arenaSubject(parts: Parts): Subject<DeviceAllocation> {
  const { context } = parts;
  const region = context.arena("device arena under test");
  const stranger = context.arena("another arena");
  const rest = {
    stranger,
    parents: [context.pages.ledger],
    recount: () => ({
      // What the slabs say is leased; what the heap cannot give is what arenas have.
      reservedBytes: context.pool.slabs.reduce((sum, { leasedBytes }) => sum + leasedBytes, 0),
    }),
  };
  return subjectOf(parts, region, rest, () => {
    region.end();
    stranger.end();
  });
}
