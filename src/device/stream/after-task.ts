/**
 * Node's own, as it is when this module is loaded: programs replace the global to slow Dawn's polling down,
 * which goes through it, and the end of a task is not to wait for that.
 */
export const immediate = typeof setImmediate === "function" ? setImmediate : null;

/** Runs `action` after the running task, so that one batch holds what a task recorded. */
export function afterThisTask(action: () => void): void {
  // It does not wait for a timer's millisecond; browsers have none.
  if (immediate === null) setTimeout(action, 0);
  else immediate(action);
}
