// `npm run demo`: sets the project up, then serves the demo page and the bench's. `--port N` asks for
// that port; `--peers` installs what the bench can compare with, some 200 MB.
import { ensureInstalled, ensurePeersInstalled, fail, root } from "../setup.mjs";

await ensureInstalled();
if (process.argv.includes("--peers")) await ensurePeersInstalled();

const at = process.argv.indexOf("--port");
const port = at < 0 ? undefined : Number(process.argv[at + 1]);
if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
  fail("--port wants a number from 1 to 65535.");
}

const { createServer } = await import("vite");
const server = await createServer({
  configFile: `${root}/demo/vite.config.ts`,
  // A given port is how tests open the page: an edit meanwhile must not reload it under them.
  server: port === undefined ? {} : { port, strictPort: true, hmr: false },
});
await server.listen();
const { port: actual } = server.httpServer.address();
// By this name and not by number: browsers give WebGPU to secure contexts only.
console.log(`The demo page is at http://localhost:${actual}/ (Ctrl-C ends it)`);
console.log(`The bench is at http://localhost:${actual}/bench.html`);

for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => void server.close().finally(() => process.exit(code)));
}
