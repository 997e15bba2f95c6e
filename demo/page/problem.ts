/** The one place where the page says what went wrong. */

import { byId, setText } from "./element.ts";

const box = byId("problem", HTMLElement);
const title = byId("problem-title", HTMLElement);
const text = byId("problem-text", HTMLElement);
const reopen = byId("reopen", HTMLButtonElement);

let whenReopened: (() => void) | undefined;

byId("dismiss", HTMLButtonElement).addEventListener("click", hideProblem);
reopen.addEventListener("click", () => {
  hideProblem();
  whenReopened?.();
});

/** Says what failed and why; with `onReopen`, offers a new device. */
export function showProblem(what: string, why: string, onReopen?: () => void): void {
  setText(title, `${what}:`);
  setText(text, why.endsWith(".") ? why : `${why}.`);
  whenReopened = onReopen;
  reopen.hidden = onReopen === undefined;
  box.hidden = false;
}

export function hideProblem(): void {
  box.hidden = true;
}
