/** The bench's command: prints a table. */

import { createRuntime, openAdapter } from "moorage/node";

import { recordingCost } from "./record.ts";

export async function main(): Promise<void> {
  const { adapter, description } = await openAdapter();
  const runtime = await createRuntime({ adapter });
  try {
    const cost = await recordingCost(runtime);
    const micro = (value: number): string => `${value.toFixed(2)} µs`;
    console.log(`Recording a dispatch that was seen before, on ${description}; medians`);
    console.log(`  Moorage          ${micro(cost.moorage)}`);
    console.log(`  by hand          ${micro(cost.byHand)}`);
    console.log(`  ratio            ${cost.ratio.toFixed(2)}`);
    console.log(`  buffers created  ${cost.buffersCreated}, bind groups ${cost.bindGroupsCreated}`);
  } finally {
    await runtime.dispose();
  }
}
