/** The choice of cases and contestants: a box to tick for each, and one for each suite. */

import { suites } from "../../bench/core/contract.ts";
import type { BenchCase, Suite } from "../../bench/core/contract.ts";
import { make, setText } from "../page/element.ts";
import { choices } from "./contestants.ts";
import type { Choice } from "./contestants.ts";
import { isWanted } from "./parameters.ts";
import type { BenchParameters } from "./parameters.ts";

interface CaseBox {
  readonly benchCase: BenchCase;
  readonly box: HTMLInputElement;
  readonly sizes: HTMLElement;
}

interface SuiteBox {
  readonly suite: Suite;
  readonly box: HTMLInputElement;
  readonly count: HTMLElement;
  readonly cases: readonly CaseBox[];
}

/** Whether a page can run it at all. */
export function runsHere({ where }: BenchCase): boolean {
  return where === undefined;
}

export class CaseChooser {
  readonly #suites: readonly SuiteBox[];
  readonly #onChange: () => void;
  #quick = true;

  constructor(place: HTMLElement, cases: readonly BenchCase[], onChange: () => void) {
    this.#onChange = onChange;
    this.#suites = suites
      .map((suite) => ({ suite, own: cases.filter((entry) => entry.suite === suite) }))
      .filter(({ own }) => own.length > 0)
      .map(({ suite, own }) => this.#addSuite(place, suite, own));
  }

  /** The ticked cases that have a size to run. */
  get chosen(): BenchCase[] {
    return this.#suites.flatMap(({ cases }) =>
      cases.filter(({ box }) => box.checked && !box.disabled).map(({ benchCase }) => benchCase),
    );
  }

  choose({ suites: wantedSuites, cases: wantedCases }: BenchParameters): void {
    for (const { suite, cases } of this.#suites) {
      for (const { benchCase, box } of cases) {
        box.checked = isWanted(suite, wantedSuites) && isWanted(benchCase.name, wantedCases);
      }
    }
    this.#update();
  }

  chooseAll(isChosen: boolean): void {
    for (const { cases } of this.#suites) for (const { box } of cases) box.checked = isChosen;
    this.#update();
  }

  /** Quick runs leave out the cases and sizes that take long. */
  setQuick(quick: boolean): void {
    this.#quick = quick;
    this.#update();
  }

  #addSuite(place: HTMLElement, suite: Suite, cases: readonly BenchCase[]): SuiteBox {
    const box = make("input", { type: "checkbox", "aria-label": `The whole suite: ${suite}` });
    const count = make("span", { class: "count" });
    const list = make("ul");
    const entries = cases.map((benchCase, index) => {
      const described = `about-${suite}-${index}`;
      const own = make("input", {
        type: "checkbox",
        value: benchCase.name,
        "aria-label": benchCase.name,
        "aria-describedby": described,
      });
      const name = make("span", { class: "case-name" }, benchCase.name);
      const sizes = make("span", { class: "sizes" });
      const about = make("span", { class: "about", id: described }, benchCase.about);
      list.append(make("li", {}, make("label", {}, own, name, sizes, about)));
      own.addEventListener("change", () => this.#update());
      return { benchCase, box: own, sizes };
    });
    box.addEventListener("change", () => {
      for (const entry of entries) entry.box.checked = box.checked;
      this.#update();
    });
    const summary = make("summary", {}, make("span", { class: "suite-name" }, suite), count);
    place.append(
      make("div", { class: "suite", "data-suite": suite }, box, make("details", {}, summary, list)),
    );
    return { suite, box, count, cases: entries };
  }

  #update(): void {
    for (const { box, count, cases } of this.#suites) {
      for (const entry of cases) this.#updateCase(entry);
      const possible = cases.filter((entry) => !entry.box.disabled);
      const ticked = possible.filter((entry) => entry.box.checked);
      box.disabled = possible.length === 0;
      box.checked = ticked.length > 0 && ticked.length === possible.length;
      box.indeterminate = ticked.length > 0 && ticked.length < possible.length;
      setText(count, `${ticked.length} of ${cases.length}`);
    }
    this.#onChange();
  }

  #updateCase({ benchCase, box, sizes }: CaseBox): void {
    const labels = sizesOf(benchCase, this.#quick);
    box.disabled = !runsHere(benchCase) || labels.length === 0;
    if (!runsHere(benchCase)) setText(sizes, "not in a browser");
    else setText(sizes, labels.length === 0 ? "in full runs only" : labels.join(", "));
  }
}

/** The labels of the sizes that a run takes. */
export function sizesOf({ sizes }: BenchCase, quick: boolean): string[] {
  return sizes.filter((size) => !quick || size.quick === true).map(({ label }) => label);
}

export class ContestantChooser {
  readonly #boxes: readonly { readonly choice: Choice; readonly box: HTMLInputElement }[];

  constructor(place: HTMLElement, onChange: () => void) {
    this.#boxes = choices.map((choice) => {
      const box = make("input", { type: "checkbox", value: choice.name });
      const mark = make("span", { class: "dot", "data-contestant": choice.name });
      place.append(make("label", { class: "contestant" }, box, mark, choice.title));
      box.addEventListener("change", onChange);
      return { choice, box };
    });
  }

  get chosen(): Choice[] {
    return this.#boxes.filter(({ box }) => box.checked).map(({ choice }) => choice);
  }

  /** Where nobody is named, Moorage and raw. */
  choose({ contestants }: BenchParameters): void {
    const wanted = contestants.length === 0 ? ["moorage", "raw"] : contestants;
    for (const { choice, box } of this.#boxes) box.checked = isWanted(choice.name, wanted);
  }
}
