import { liveBufferBytes, openRuntime } from "../harness.ts";
import { conformance } from "./conformance.ts";
import { pinnedSubject, plainPinnedSubject } from "./pinned-subject.ts";
import { budgetBytes } from "./subject.ts";

conformance("PinnedHeap over plain memory", async () => plainPinnedSubject());

conformance("PinnedHeap over a device", async () => {
  const runtime = await openRuntime({ budget: { pinnedBytes: budgetBytes } });
  const others = liveBufferBytes(runtime.device);
  return pinnedSubject(
    runtime.pinned,
    () => liveBufferBytes(runtime.device) - others,
    () => runtime.dispose(),
  );
});
