/** The block table by itself: rows, generations, what has failed, what is lent, and where it came from. */

import { describe, expect, test } from "vitest";

import { BlockTable } from "../../src/device/memory/block-table.ts";
import type { BlockRegion, DeviceAllocation } from "../../src/device/memory/block-table.ts";
import { DeviceError } from "../../src/index.ts";
import { caught } from "../support/caught.ts";

const region: BlockRegion = { kind: "device-heap", label: "heap", free: () => {} };
const other: BlockRegion = { kind: "device-heap", label: "another heap", free: () => {} };

function add(table: BlockTable, label = "x", offset = 512): DeviceAllocation {
  return table.add(region, 3, 7, offset, 256, 100, label);
}

const failure = (): DeviceError => new DeviceError("DEVICE_ERROR", "did not work");

test("a row is used again, and an old handle does not come alive with it", () => {
  const table = new BlockTable();
  const [a, b] = [add(table, "a"), add(table, "b", 1024)];
  expect([a.row, b.row, a.isAlive, a.byteOffset, b.byteOffset]).toEqual([0, 1, true, 512, 1024]);
  expect([...table.live()]).toEqual([a, b]);
  expect(a.key === b.key).toBe(false);
  table.remove(a);
  expect([a.isAlive, b.isAlive, [...table.live()].length]).toEqual([false, true, 1]);
  expect(caught(() => a.byteOffset)).toMatchObject({ code: "USE_AFTER_DISPOSE", label: "a" });
  const c = add(table, "c");
  expect([c.row, c.isAlive, a.isAlive, c.key === a.key]).toEqual([0, true, false, false]);
  expect(c.key).toBeGreaterThan(a.key);
  table.remove(c);
  const d = add(table, "d");
  expect([d.row, c.isAlive, d.isAlive]).toEqual([0, false, true]);
});

test("a thousand blocks keep their places while the table grows", () => {
  const table = new BlockTable();
  const { metadataBytes } = table;
  expect(metadataBytes).toBe(256 * 40);
  const blocks = Array.from({ length: 256 }, (_, index) => add(table, `${index}`, index * 256));
  expect(table.metadataBytes).toBe(metadataBytes);
  for (let index = 256; index < 1000; index++) blocks.push(add(table, `${index}`, index * 256));
  expect(table.metadataBytes).toBe(4 * metadataBytes);
  expect(blocks.every((block, index) => block.isAlive && block.byteOffset === index * 256)).toBe(
    true,
  );
  const { slab, extent, references, node, generation } = table;
  for (const column of [slab, extent, references, node, generation])
    expect(column).toHaveLength(1024);
  expect([slab[0], extent[0], references[0], node[0]]).toEqual([3, 256, 1, 7]);
});

test("a handle is freed by its own region, and once", () => {
  const table = new BlockTable();
  const [a, stranger] = [add(table, "a"), add(new BlockTable(), "stranger")];
  expect(() => table.checkFree(a, region)).not.toThrow();
  expect(caught(() => table.checkFree(a, other)).code).toBe("FOREIGN_HANDLE");
  expect(caught(() => table.checkFree(stranger, region)).code).toBe("FOREIGN_HANDLE");
  table.remove(a);
  expect(caught(() => table.checkFree(a, region)).code).toBe("DOUBLE_FREE");
});

test("a failure that nobody has read is told when its last block ends, and once", () => {
  const table = new BlockTable();
  const told: unknown[] = [];
  table.onUnobserved = (error) => told.push(error);
  const [first, second, third] = [failure(), failure(), failure()];
  const [a, b, c, d] = ["a", "b", "c", "d"].map((label) => add(table, label));
  table.failures.set(a!.key, first);
  table.failures.set(b!.key, first);
  table.failures.set(c!.key, second);
  table.observe(second);
  for (const block of [a, b, c, d]) table.remove(block!);
  expect(told).toEqual([first]);
  // A block that is gone, and whose failure was kept for those behind it.
  const e = add(table, "e");
  const f = add(table, "f");
  table.failures.clear();
  table.remove(e);
  table.failures.set(e.key, third);
  table.failures.set(f.key, second);
  table.forgetFailures();
  expect([...table.failures.keys()]).toEqual([f.key]);
  expect(told).toEqual([first, third]);
});

test("another handle in its place has what the first had, but its source", () => {
  const table = new BlockTable();
  const a = add(table, "a");
  const problem = failure();
  table.failures.set(a.key, problem);
  table.setSource(a, () => new Uint8Array(1));
  const b = table.replace(a, 1024, 1000);
  expect([a.isAlive, b.isAlive, b.row, b.byteLength, b.label]).toEqual([false, true, 0, 1000, "a"]);
  expect([table.extent[0], b.byteOffset, b.region]).toEqual([1024, 512, region]);
  expect([...table.failures]).toEqual([[b.key, problem]]);
  expect([table.sourceOf(a), table.sourceOf(b), [...table.live()]]).toEqual([
    undefined,
    undefined,
    [b],
  ]);
  const c = table.replace(table.replace(add(table, "c"), 1, 1), 2, 2);
  expect([c.isAlive, table.failures.size]).toEqual([true, 1]);
});

test("a source holds until the block is written or ends", () => {
  const table = new BlockTable();
  const [a, b] = [add(table, "a"), add(table, "b")];
  const read = (): Uint8Array => new Uint8Array(4);
  for (const block of [a, b]) table.setSource(block, read);
  table.willChange(a.key);
  expect([table.sourceOf(a), table.sourceOf(b)]).toEqual([undefined, read]);
  table.remove(b);
  expect(table.sourceOf(b)).toBeUndefined();
});

test("a block is lent until it was given back as often", () => {
  const table = new BlockTable();
  const [a, b] = [add(table, "a"), add(table, "b")];
  expect([table.isLent(a), table.isLent(b)]).toEqual([false, false]);
  table.lend(a, 1);
  table.lend(a, 1);
  expect([table.isLent(a), table.isLent(b)]).toEqual([true, false]);
  table.lend(a, -1);
  expect(table.isLent(a)).toBe(true);
  table.lend(a, -1);
  expect(table.isLent(a)).toBe(false);
  table.lend(b, 1);
  expect([table.isLent(a), table.isLent(b)]).toEqual([false, true]);
});

test("a handle that was replaced stays dead when its row is used again", () => {
  const table = new BlockTable();
  const a = add(table, "a");
  const b = table.replace(a, 512, 300);
  expect([b.key > a.key, Number.isSafeInteger(b.key)]).toEqual([true, true]);
  table.remove(b);
  const c = add(table, "c");
  expect([c.row, a.isAlive, b.isAlive, c.isAlive]).toEqual([0, false, false, true]);
});

test("an alias shows its owner's memory, and keeps it alive and in its place", () => {
  const table = new BlockTable();
  const owner = table.add(region, 5, 9, 4096, 768, 700, "owner");
  const alias = add(table, "alias");
  const places = (): unknown[] =>
    [owner, alias].map(({ row }) => [table.slab[row], table.offset[row], table.extent[row]]);
  expect(table.isSame(alias, owner)).toBe(false);
  table.alias(alias, owner);
  expect(places()).toEqual([
    [5, 4096, 768],
    [5, 4096, 768],
  ]);
  expect([alias.byteOffset, table.isSame(alias, owner)]).toEqual([4096, true]);
  expect([table.references[owner.row], table.references[alias.row]]).toEqual([2, 1]);
  expect([table.isLent(owner), table.isLent(alias)]).toEqual([true, false]);
  table.lend(owner, -1);
  expect(table.isLent(owner)).toBe(false);
});

describe("blocks that show others' memory", () => {
  function aliased() {
    const table = new BlockTable();
    const [owner, stranger, alias, second] = ["owner", "stranger", "alias", "second"].map(
      (label, index) => add(table, label, 512 * (index + 1)),
    ) as [DeviceAllocation, DeviceAllocation, DeviceAllocation, DeviceAllocation];
    return { table, owner, stranger, alias, second };
  }

  test("go by their owner's key, and by their own where what they are is meant", () => {
    const { table, owner, stranger, alias, second } = aliased();
    expect(table.hasAliases).toBe(false);
    expect([alias.key, table.ownerOf(alias)]).toEqual([alias.ownKey, undefined]);
    table.alias(alias, owner);
    expect(table.hasAliases).toBe(true);
    expect([alias.key, alias.ownKey === alias.key]).toEqual([owner.ownKey, false]);
    expect([owner.key, stranger.key]).toEqual([owner.ownKey, stranger.ownKey]);
    expect([alias, owner, stranger].map((block) => table.ownerOf(block))).toEqual([
      owner,
      undefined,
      undefined,
    ]);
    const problem = failure();
    table.failures.set(owner.key, problem);
    expect(table.failures.get(alias.key)).toBe(problem);
    table.alias(second, stranger);
    table.remove(alias);
    // Its row may be somebody else's by now.
    const next = add(table, "next");
    expect([next.row, next.key, Number.isInteger(next.key)]).toEqual([
      alias.row,
      next.ownKey,
      true,
    ]);
    expect([table.ownerOf(alias), table.ownerOf(next), table.hasAliases]).toEqual([
      undefined,
      undefined,
      true,
    ]);
    table.remove(second);
    expect(table.hasAliases).toBe(false);
    expect(second.key).toBe(second.ownKey);
  });

  test("a handle that is dead shows nobody's memory, while its row still does", () => {
    const { table, owner, alias } = aliased();
    table.alias(alias, owner);
    const replaced = table.replace(alias, 256, 100);
    expect([table.ownerOf(alias), table.ownerOf(replaced)]).toEqual([undefined, owner]);
  });

  test("are all who have a block, once its users have let it go", () => {
    const { table, owner, stranger, alias, second } = aliased();
    expect(table.isBorrowedOnly(owner)).toBe(false);
    table.alias(alias, owner);
    expect(table.isBorrowedOnly(owner)).toBe(false);
    table.references[owner.row]!--;
    expect([table.isBorrowedOnly(owner), table.isBorrowedOnly(stranger)]).toEqual([true, false]);
    table.alias(second, owner);
    expect(table.isBorrowedOnly(owner)).toBe(true);
    table.remove(second);
    // Who removes an alias gives up the share it had.
    table.references[owner.row]!--;
    expect(table.isBorrowedOnly(owner)).toBe(true);
    table.references[owner.row]!++;
    expect(table.isBorrowedOnly(owner)).toBe(false);
    table.remove(alias);
    table.references[owner.row] = 0;
    expect(table.isBorrowedOnly(owner)).toBe(false);
  });

  test("follow their own owner to its new place, and nobody else", () => {
    const { table, owner, stranger, alias, second } = aliased();
    table.alias(alias, owner);
    table.alias(second, stranger);
    expect([table.node[alias.row], table.node[second.row]]).toEqual([-1, -1]);
    for (const { row } of [owner, stranger]) {
      table.slab[row] = 8;
      table.offset[row] = 8192;
      table.extent[row] = 333;
    }
    table.followOwners(owner);
    const place = ({ row }: DeviceAllocation): number[] => [
      table.slab[row]!,
      table.offset[row]!,
      table.extent[row]!,
    ];
    expect(place(alias)).toEqual([8, 8192, 333]);
    expect(place(second)).toEqual([3, 1024, 256]);
  });
});

test("two blocks are the same where both slab and offset are", () => {
  const table = new BlockTable();
  const [a, elsewhere, behind, same] = [
    [1, 512],
    [2, 512],
    [1, 1024],
    [1, 512],
  ].map(([slab, offset]) => table.add(region, slab!, 7, offset!, 256, 100, "x"));
  expect([elsewhere, behind, same, a].map((block) => table.isSame(a!, block!))).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

test("two blocks overlap where they share a byte of one slab", () => {
  const table = new BlockTable();
  const at = (slab: number, offset: number, extent: number): DeviceAllocation =>
    table.add(region, slab, 7, offset, extent, extent, "x");
  const middle = at(1, 512, 256);
  const cases: [DeviceAllocation, boolean][] = [
    [at(1, 512, 256), true],
    [at(1, 0, 512), false],
    [at(1, 0, 513), true],
    [at(1, 768, 256), false],
    [at(1, 767, 256), true],
    [at(1, 0, 2048), true],
    [at(1, 600, 4), true],
    [at(2, 512, 256), false],
  ];
  for (const [second, isShared] of cases) {
    expect([table.overlaps(middle, second), table.overlaps(second, middle)]).toEqual([
      isShared,
      isShared,
    ]);
  }
});

describe("who reads a block bit by bit", () => {
  function watched(): { table: BlockTable; told: string[]; ends: (() => void)[] } & Record<
    "a" | "b",
    DeviceAllocation
  > {
    const table = new BlockTable();
    const [a, b] = [add(table, "a"), add(table, "b")];
    const told: string[] = [];
    const ends = [
      table.watch(a, () => told.push("first of a")),
      table.watch(a, () => told.push("second of a")),
      table.watch(b, () => told.push("of b")),
    ];
    return { table, a, b, told, ends };
  }

  test("is told before it is written, ends or is replaced, and no longer than it wants", () => {
    const { table, a, b, told, ends } = watched();
    expect(table.hasReaders).toBe(true);
    table.willChange(a.key);
    expect(told.splice(0)).toEqual(["first of a", "second of a"]);
    ends[0]!();
    ends[0]!();
    table.remove(a);
    expect(told.splice(0)).toEqual(["second of a"]);
    table.replace(b, 512, 500);
    expect(told.splice(0)).toEqual(["of b"]);
    for (const end of ends) end();
    expect(table.hasReaders).toBe(false);
    table.willChange(b.key);
    expect(told).toEqual([]);
  });

  test("may end its watch, and others', while it is told; another block's is no affair of theirs", () => {
    const table = new BlockTable();
    const [a, b] = [add(table, "a"), add(table, "b")];
    let count = 0;
    const end = table.watch(a, () => {
      end();
      count++;
    });
    const second = table.watch(a, () => count++);
    table.takeRest(b.key);
    expect(count).toBe(0);
    table.takeRest(a.key);
    table.takeRest(a.key);
    expect(count).toBe(3);
    second();
    // The last of the old watch may not end the new one.
    const again = table.watch(a, () => count++);
    second();
    table.takeRest();
    expect(count).toBe(4);
    again();
  });

  test("takes the rest of everything where no block is named", () => {
    const { table, told } = watched();
    table.takeRest();
    expect(told).toEqual(["first of a", "second of a", "of b"]);
  });

  test("has to hurry where others may write unseen", () => {
    const table = new BlockTable();
    const own = add(table, "own");
    const foreign = table.add({ ...region, kind: "foreign" }, 0, 0, 0, 512, 500, "theirs");
    expect([table.isExposed(own), table.isExposed(foreign)]).toEqual([false, true]);
    table.lend(own, 1);
    expect(table.isExposed(own)).toBe(true);
  });
});
