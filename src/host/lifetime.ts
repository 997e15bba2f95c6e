/**
 * Lifetimes, for the compiler alone: a handle carries the brand of what ends it, so that what a scope
 * made is assignable to nothing that outlives the scope. Nothing of this exists at run time, where each
 * handle is checked again.
 */

/** The key of the brand; it is a type and no value. */
export declare const lifetime: unique symbol;

/** The brand of handles that live until they are disposed. */
export interface Owned {
  readonly owned: true;
}

/** Carries a lifetime. It is invariant: one lifetime stands for no other, neither longer nor shorter. */
export interface Branded<S> {
  readonly [lifetime]: (lifetime: S) => S;
}

/** What may carry a lifetime; where it carries none, it is {@link Owned}. */
export type MaybeBranded<S> = Partial<Branded<S>>;
