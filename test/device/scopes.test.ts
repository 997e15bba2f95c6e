import { describe, expect, test } from "vitest";

import type { RegionStats, Scope, Tensor } from "../../src/index.ts";
import { useRuntime } from "../harness.ts";
import { caught, codeOf, codeOfRejection, rejected } from "../support/caught.ts";

const rt = useRuntime();
const float = { dtype: "float32" } as const;

function expectNothingHeld(): void {
  const { hot, deviceArena } = rt().stats();
  const nothing: Partial<RegionStats> = { liveBytes: 0, paddingBytes: 0, deferredBytes: 0 };
  expect(hot).toMatchObject(nothing);
  expect(deviceArena).toMatchObject({ ...nothing, reservedBytes: 0 });
}

/** A resource that writes down its end. */
function resource(log: string[], name: string, error?: Error): Disposable {
  return {
    [Symbol.dispose]: () => {
      log.push(name);
      if (error !== undefined) throw error;
    },
  };
}

describe("ends", () => {
  test("what a scope made is gone when it settles, and its plain result stays", async () => {
    const result = await rt().scope(async (s) => {
      const x = s.full([8], 3, float);
      s.array("float32", 100).fill(1);
      expect(rt().stats().deviceArena.liveBytes).toBe(32);
      expect(rt().stats().hot.liveBytes).toBe(400);
      return await s.sum(s.multiply(x, 2)).item();
    });
    expect(result).toBe(48);
    expectNothingHeld();
  });

  test.each([
    ["before anything", () => {}],
    ["after work", (s: Scope<unknown>) => void s.zeros([4], float)],
  ])("an exception %s passes through, and frees everything", async (_, work) => {
    const error = new Error("user's own");
    const failing = rt().scope(async (s) => {
      work(s as Scope<unknown>);
      s.array("uint8", 10);
      await Promise.resolve();
      throw error;
    });
    await expect(failing).rejects.toBe(error);
    const thrown = rt().scope((s) => {
      work(s as Scope<unknown>);
      throw error;
    });
    await expect(thrown).rejects.toBe(error);
    expectNothingHeld();
  });

  test("what use() was given ends in reverse order, before the memory, even if one fails", async () => {
    const log: string[] = [];
    const broken = new Error("broken");
    const run = (fails: boolean): Promise<number> =>
      rt().scope((s) => {
        log.length = 0;
        const kept = s.use(rt().zeros([4], { ...float, label: "owned by the scope" }));
        s.use(resource(log, "first"));
        s.use(resource(log, "second", fails ? broken : undefined));
        const third = resource(log, "third");
        expect(s.use(third)).toBe(third);
        return kept.size;
      });
    expect(await run(false)).toBe(4);
    expect(log).toEqual(["third", "second", "first"]);
    await expect(run(true)).rejects.toBe(broken);
    expect(log).toEqual(["third", "second", "first"]);
    expectNothingHeld();
    expect(rt().live()).toEqual([]);
  });

  test("a scope that has ended says so by its label, for work and for memory", async () => {
    let late: Scope<unknown> | undefined;
    await rt().scope(
      (s) => {
        late = s as Scope<unknown>;
      },
      { label: "picture" },
    );
    const using = late!;
    for (const use of [
      () => using.zeros([1], float),
      () => using.array("float32", 1),
      () => using.require(1),
      () => using.use(resource([], "x")),
      () => using.scope(() => 1),
      () => using.tensor(new Float32Array(1), { shape: [1], ...float }),
    ]) {
      const error = caught(use);
      expect(error.code).toBe("SCOPE_ENDED");
      expect(error.message).toContain('scope "picture"');
    }
    expect(codeOf(() => using.hot.alloc({ byteLength: 1 }))).toBe("SCOPE_ENDED");
  });
});

describe("escapes", () => {
  test.each<[string, (t: unknown) => unknown]>([
    ["itself", (t) => t],
    ["in an array", (t) => [1, t]],
    ["in an object", (t) => ({ a: { b: t } })],
    ["in a map", (t) => new Map([["t", t]])],
    ["in a set", (t) => new Set([t])],
    ["as a promise", async (t) => await Promise.resolve(t)],
    ["as a view", (t) => (t as Tensor).slice([0, 1])],
    ["retained", (t) => (t as Tensor).retain()],
  ])("a tensor returned %s is refused by name, and the scope is freed", async (_, wrap) => {
    const error = await rejected(
      rt().scope((s) => wrap(s.zeros([4], { ...float, label: "scratch" })) as never, {
        label: "inner",
      }),
    );
    expect(error).toMatchObject({ code: "SCOPE_ESCAPE", label: "scratch" });
    for (const part of ['scope "inner"', '"scratch"', "keep("])
      expect(error.message).toContain(part);
    expectNothingHeld();
  });

  test("a tensor smuggled out by a variable or a closure is caught at its use", async () => {
    let smuggled: unknown;
    const read = await rt().scope((s) => {
      const x = s.zeros([4], { ...float, label: "scratch" });
      smuggled = x;
      return () => x.data();
    });
    // Its memory has a new owner by now, which must not be read or written through the old handle.
    using heir = rt().full([4], 7, float);
    const x = smuggled as Tensor<"float32">;
    for (const use of [
      () => rt().add(x, 1),
      () => x.slice([0, 1]),
      () => x.retain(),
      () => rt().write(x, new Float32Array(4)),
    ])
      expect(caught(use)).toMatchObject({ code: "SCOPE_ESCAPE", label: "scratch" });
    expect(await codeOfRejection(read())).toBe("SCOPE_ESCAPE");
    x.dispose();
    expect(await heir.toArray()).toEqual([7, 7, 7, 7]);
  });

  test("a child's tensor is refused by the parent, kept ones are not", async () => {
    await rt().scope(async (outer) => {
      const escape = outer.scope((inner) => inner.zeros([1], float) as never);
      expect(await codeOfRejection(escape)).toBe("SCOPE_ESCAPE");
      using kept = await outer.scope((inner) => inner.keep(inner.full([2], 5, float)));
      expect(await kept.toArray()).toEqual([5, 5]);
    });
  });
});
