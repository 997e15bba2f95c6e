/** Progress on a terminal: one line on stderr, written over again and again; nothing in a pipe. */

const barWidth = 28;
let shownAt = 0;
let isShown = false;

/** Shows what is going on; `done` is 0…1. At most some twenty times a second. */
export function showProgress(what: string, done?: number): void {
  if (!process.stderr.isTTY) return;
  const now = performance.now();
  if (isShown && done !== undefined && done < 1 && now - shownAt < 50) return;
  shownAt = now;
  isShown = true;
  const filled = Math.round((done ?? 0) * barWidth);
  const bar =
    done === undefined
      ? ""
      : `${"█".repeat(filled)}${"░".repeat(barWidth - filled)} ${Math.floor(done * 100)
          .toString()
          .padStart(3)} %  `;
  const columns = process.stderr.columns || 80;
  process.stderr.write(`\r\u001b[K${`${bar}${what}`.slice(0, columns - 1)}`);
}

/** Takes the line away, before anything else is written. */
export function clearProgress(): void {
  if (!isShown) return;
  isShown = false;
  process.stderr.write("\r\u001b[K");
}
