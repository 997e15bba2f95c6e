/** Contestants by name. Peers are loaded only where they are asked for: their packages are large. */

import { createBuffer } from "../contestants/create-buffer.ts";
import { moorage } from "../contestants/moorage/index.ts";
import { loadPeer, peers } from "../contestants/peers.ts";
import { raw } from "../contestants/raw/index.ts";
import type { Contestant, ContestantName } from "../core/contract.ts";

export async function loadContestants(names: readonly ContestantName[]): Promise<Contestant[]> {
  const own: readonly Contestant[] = [moorage, raw, createBuffer];
  const loaded: Contestant[] = [];
  for (const name of names) {
    const contestant = own.find((each) => each.name === name);
    if (contestant !== undefined) loaded.push(contestant);
    const peer = peers.find((each) => each.name === name);
    if (peer !== undefined) loaded.push(await loadPeer(peer));
  }
  return loaded;
}
