/** What has to happen when something has ended, be it now or later. */

/** Runs `end` after `action`, or after the promise that it returns has settled. */
export function settled<R>(action: () => R, end: () => void): R {
  let result: R;
  try {
    result = action();
  } catch (error) {
    end();
    throw error;
  }
  // Its rejection is the caller's to handle, as if nobody had listened in between.
  if (result instanceof Promise) return result.finally(end) as R;
  end();
  return result;
}
