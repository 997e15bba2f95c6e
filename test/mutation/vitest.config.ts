/** The tests that a mutant of a region meets: all that need no platform, and shorter random programs. */

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("../.."),
  resolve: {
    alias: [{ find: /^moorage$/, replacement: path("../../src/index.ts") }],
  },
  test: {
    include: [
      "test/mutation/contract.ts",
      "test/host/{arena-exact,arena-kinds,arena-quick,diagnostics,host-tensor,hot-arena,pinned-block,pinned-exact,pinned-failures,pinned-heap,pinned-io,pinned-slots,simd-buffer,statistics}.test.ts",
      "test/regions/{block-table,device-edges,device-parts,device-promotion,every-device-fault,every-fault,every-sequence,general-evacuation,general-exact,general-growth,general-handles,general-moves,general-pinned,general-regions,long,offset-allocator,page-holes,slab-growth,slab-pool,slab-search,wide-slabs}.test.ts",
    ],
    env: { MOORAGE_OPERATIONS: "6000", MOORAGE_SEQUENCES: "4", MOORAGE_SEED: "20261121" },
    environment: "node",
    testTimeout: 10_000,
  },
});
