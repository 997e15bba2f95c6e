// `npm run bench`: what recording costs, against as many dispatches written by hand. In Node, on the
// adapter that Moorage would use; the browser's figures are in test/browser/recording.spec.ts.

import { ensureBuilt, ensureInstalled } from "../setup.mjs";

await ensureInstalled();
await ensureBuilt();
const { main } = await import("./.out/main.js");
await main();
