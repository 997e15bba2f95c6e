/** Deep enough to reach a user's function from inside an operation. */
const framesKept = 24;

/**
 * The frames of the caller, for people: `skip` of the innermost are left out beside this function's own.
 * Some microseconds.
 */
export function callerStack(skip: number): string | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = framesKept;
  const { stack } = new Error("caller");
  Error.stackTraceLimit = limit;
  return stack
    ?.split("\n")
    .slice(2 + skip)
    .join("\n");
}
