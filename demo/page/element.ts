/** Typed access to the page's elements, and small ones made from text. */

/** The element with this id; throws where the page and its script disagree. */
export function byId<T extends Element>(id: string, type: abstract new () => T): T {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${type.name} with the id "${id}"`);
}

/** A new element with attributes and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Sets text only where it changes, so that nothing is laid out or read aloud again for nothing. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** A number for people that keeps its exact value for machines. */
export function setNumber(element: HTMLDataElement, value: number, text: string): void {
  if (element.value !== String(value)) element.value = String(value);
  setText(element, text);
}
