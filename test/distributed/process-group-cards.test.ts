/**
 * Proves that a process group sends what lies on graphics cards as it sends what lies on processors: over gloo among members that share a card, over NCCL where each has its own. Needs a card, and is skipped without; NCCL among several members
 * needs as many cards. Alone: npx vitest run test/distributed/process-group-cards.test.ts
 */
import { describe, expect, it } from "vitest";
import { engineFacts } from "../../src/engine/info.js";
import { nativeCollectives } from "../../src/engine/native.js";
import { expectAll } from "./expected-findings.js";
import type { GroupFindings, ProgramDevice } from "./group-program.js";
import { runRanks } from "./ranks.js";

const { cudaDevices } = engineFacts();
const hasNccl = nativeCollectives().ncclVersion() !== "";
const run = (size: number, device: ProgramDevice): Promise<GroupFindings[]> => runRanks<GroupFindings>("group-program.ts", size, device);

describe.skipIf(cudaDevices === 0)("a process group on graphics cards (skipped without one)", () => {
  it.each([2, 3])("of %i members that share one: gloo, and said so", async (size) => {
    const findings = await run(size, "cuda:0");
    expectAll(findings);
    for (const { cards } of findings) {
      expect(cards).toMatchObject({ backend: "gloo", devices: ["cuda:0"] });
      expect(cards?.warnings).toEqual([expect.stringMatching(/^workers 0, 1.* share one graphics card \(cuda:0\): /)]);
    }
  });

  it.skipIf(!hasNccl)("of one member: NCCL (skipped where the add-on was built without it)", async () => {
    const findings = await run(1, "cuda:0");
    expectAll(findings);
    expect(findings[0]?.cards).toEqual({ backend: "nccl", devices: ["cuda:0"], warnings: [] });
  });

  it.skipIf(!hasNccl || cudaDevices < 2)("of a member for each card: NCCL (skipped with a single card)", async () => {
    const findings = await run(cudaDevices, "cuda");
    expectAll(findings);
    for (const { cards } of findings) expect(cards).toMatchObject({ backend: "nccl", warnings: [] });
  });
});
