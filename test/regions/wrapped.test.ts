/** Every wrapper over every region obeys the contract of what it wraps. The device is simulated. */

import { CountedRegion } from "../../src/host/wrappers/counted-region.ts";
import { FaultyRegion } from "../../src/host/wrappers/faulty-region.ts";
import { LimitedRegion } from "../../src/host/wrappers/limited-region.ts";
import { LoggedRegion } from "../../src/host/wrappers/logged-region.ts";
import { TrackedRegion } from "../../src/host/wrappers/tracked-region.ts";
import type { Allocation, MemoryRegion } from "../../src/index.ts";
import { openSimulated } from "../simulated/open-simulated.ts";
import { arenaSubject } from "./arena-subject.ts";
import { conformance } from "./conformance.ts";
import {
  arenaSubject as deviceArenaSubject,
  heapSubject,
  partsOf,
  quartered,
} from "./device-subject.ts";
import { generalSubject } from "./general-subject.ts";
import { plainPinnedSubject } from "./pinned-subject.ts";
import type { Subject } from "./subject.ts";

type Wrap = <A extends Allocation>(inner: MemoryRegion<A>) => MemoryRegion<A>;

const enough = 2 ** 40;

const wrappers: Readonly<Record<string, Wrap>> = {
  "a limit": (inner) => new LimitedRegion(inner, enough),
  counts: (inner) => new CountedRegion(inner),
  tracking: (inner) => new TrackedRegion(inner),
  logging: (inner) => new LoggedRegion(inner, () => {}),
  "fault injection": (inner) => new FaultyRegion(inner),
  "all of them": (inner) =>
    new CountedRegion(
      new LoggedRegion(
        new TrackedRegion(new FaultyRegion(new LimitedRegion(inner, enough))),
        () => {},
      ),
    ),
};

function everyWrapper<A extends Allocation>(region: string, open: () => Promise<Subject<A>>): void {
  for (const [name, wrap] of Object.entries(wrappers)) {
    conformance(
      `${region} in ${name}`,
      async () => {
        const subject = await open();
        return { ...subject, region: wrap(subject.region) };
      },
      1,
    );
  }
}

everyWrapper("HotArena", async () => arenaSubject());
everyWrapper("PinnedHeap", async () => plainPinnedSubject());
everyWrapper("GeneralHeap", async () => generalSubject());
everyWrapper("DeviceHeap", async () =>
  heapSubject(partsOf((await openSimulated(quartered)).runtime)),
);
everyWrapper("DeviceArena", async () =>
  deviceArenaSubject(partsOf((await openSimulated(quartered)).runtime)),
);
