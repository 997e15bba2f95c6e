import type { GeneralBlock } from "../../src/host/general/general-block.ts";
import { conformance } from "./conformance.ts";
import { generalSubject } from "./general-subject.ts";

conformance<GeneralBlock>("GeneralHeap", async () => generalSubject());
