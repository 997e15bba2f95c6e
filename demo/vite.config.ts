import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import type { Plugin } from "vite";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** The bench's peers have packages of their own, which only those install who want to compare. */
const hasPeers = existsSync(path("../bench/node_modules"));

/** SharedArrayBuffer, and a clock in steps of 5 us instead of 100: for pages that let nobody else in. */
const isolation = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: path("."),
  // What was optimised with the peers is no use without them, and the other way round.
  cacheDir: path(`../node_modules/.cache/vite${hasPeers ? "-with-peers" : ""}`),
  plugins: [absentPeers()],
  resolve: {
    alias: [
      { find: /^moorage$/, replacement: path("../src/index.ts") },
      // pngjs's main file wants Node's zlib; this one brings its own.
      { find: /^pngjs$/, replacement: path("../node_modules/pngjs/browser.js") },
    ],
  },
  optimizeDeps: {
    // Found late, it would make the page load twice; so would the peers, which are found from here.
    include: ["pngjs"],
    entries: ["index.html", "bench.html"],
    // It looks for its WebAssembly beside its own file.
    exclude: ["onnxruntime-web"],
  },
  worker: { format: "es" },
  // The page and its tests import from all over the repository.
  server: { host: "127.0.0.1", fs: { allow: [path("..")] }, headers: isolation },
  preview: { headers: isolation },
  build: {
    target: "es2022",
    outDir: path(".out/page"),
    emptyOutDir: true,
    rolldownOptions: { input: [path("index.html"), path("bench.html")] },
  },
});

/** In place of each peer a module that says what is missing, so that all else can be served and built. */
function absentPeers(): Plugin {
  const absent = "\0absent-peer";
  return {
    name: "absent-peers",
    enforce: "pre",
    resolveId(source, importer) {
      if (importer === undefined || !importer.endsWith("/bench/contestants/peers.ts"))
        return undefined;
      if (hasPeers && existsSync(join(dirname(importer), source))) return undefined;
      return source.startsWith("./") ? absent : undefined;
    },
    load(id) {
      if (id !== absent) return undefined;
      const message = "its packages are not installed (npm run demo -- --peers)";
      return `throw new Error(${JSON.stringify(message)});`;
    },
  };
}
