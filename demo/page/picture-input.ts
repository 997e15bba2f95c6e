/** Every way in which a picture can come to the page: dropped anywhere, or chosen. */

import { byId } from "./element.ts";

/** Calls `onFile` with each file that is dropped or chosen. */
export function acceptPictures(onFile: (file: File) => void): void {
  const input = byId("file", HTMLInputElement);
  byId("choose", HTMLButtonElement).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) onFile(file);
    // Else choosing the same file again would be no change.
    input.value = "";
  });

  const root = document.documentElement;
  /** `dragenter` and `dragleave` come for every element under the pointer. */
  let depth = 0;
  const setDepth = (value: number): void => {
    depth = Math.max(0, value);
    root.classList.toggle("dragging", depth > 0);
  };
  const hasFiles = (event: DragEvent): boolean =>
    event.dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragenter", (event) => hasFiles(event) && setDepth(depth + 1));
  addEventListener("dragleave", (event) => hasFiles(event) && setDepth(depth - 1));
  addEventListener("dragover", (event) => {
    // Without this the browser would open the file in the place of the page.
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    setDepth(0);
    const file = event.dataTransfer?.files[0];
    if (file) onFile(file);
  });
}
