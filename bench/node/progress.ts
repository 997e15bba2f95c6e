/** Progress on a terminal: one line on stderr, written over again and again; nothing in a pipe. */

let shownAt = 0;
let isShown = false;

/** At most some ten times a second: the terminal must not be part of what is measured. */
export function showProgress(done: number, total: number, what: string): void {
  if (!process.stderr.isTTY) return;
  const now = performance.now();
  if (isShown && now - shownAt < 100) return;
  shownAt = now;
  isShown = true;
  const columns = process.stderr.columns || 80;
  const line = `${done}/${total}  ${what}`;
  process.stderr.write(`\r\u001b[K${line.slice(0, columns - 1)}`);
}

/** Takes the line away, before anything else is written. */
export function clearProgress(): void {
  if (!isShown) return;
  isShown = false;
  process.stderr.write("\r\u001b[K");
}
