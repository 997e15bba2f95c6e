/** What the page's address asks for: `bench.html?suite=kernels&case=softmax&quick=1&seed=1#run`. */

export interface BenchParameters {
  /** Empty: all. Matched by their beginning, as on the command line. */
  readonly suites: readonly string[];
  readonly cases: readonly string[];
  readonly sizes: readonly string[];
  /** Empty: Moorage and raw. */
  readonly contestants: readonly string[];
  readonly quick: boolean;
  /** Undefined: a new one. */
  readonly seed: number | undefined;
  readonly repetitionCount: number;
  /** Whether the run starts by itself, with `run` in the query or after the `#`. */
  readonly startsAtOnce: boolean;
}

/** Reads the query and what follows the `#` alike; lists are separated by commas, or repeated. */
export function parametersOf({ search, hash }: Pick<Location, "search" | "hash">): BenchParameters {
  const given = new URLSearchParams(search);
  for (const [name, value] of new URLSearchParams(hash.replace(/^#\??/, "")))
    given.append(name, value);
  const list = (name: string): string[] =>
    given
      .getAll(name)
      .flatMap((text) => text.split(","))
      .map((item) => item.trim())
      .filter((item) => item !== "");
  const seed = wholeNumber(given.get("seed"));
  return {
    suites: list("suite"),
    cases: list("case"),
    sizes: list("size"),
    contestants: list("contestants"),
    quick: given.get("quick") !== "0" && !given.has("full"),
    seed,
    repetitionCount: Math.max(1, wholeNumber(given.get("repeat")) ?? 1),
    startsAtOnce: given.has("run"),
  };
}

/** Whether a name begins with one of those that are wanted, ignoring case; with none wanted, always. */
export function isWanted(name: string, wanted: readonly string[]): boolean {
  const lower = name.toLowerCase();
  return wanted.length === 0 || wanted.some((prefix) => lower.startsWith(prefix.toLowerCase()));
}

function wholeNumber(text: string | null): number | undefined {
  if (text === null || !/^\d+$/.test(text)) return undefined;
  return Number(text);
}
