/** Runs `action` after the running task, so that one batch holds what a task recorded. */
export function afterThisTask(action: () => void): void {
  // Node's setImmediate does not wait for a timer's millisecond; browsers have none.
  if (typeof setImmediate === "function") setImmediate(action);
  else setTimeout(action, 0);
}
