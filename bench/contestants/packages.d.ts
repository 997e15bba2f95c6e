// What the compiler takes the peers' packages for where they are not installed (`npm ci --prefix bench`
// installs them): anything. Where they are, their own declarations come first, and are checked against.

declare module "@tensorflow/*";
declare module "@jax-js/*";
declare module "onnxruntime-web/*";
