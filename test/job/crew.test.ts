/**
 * Proves that the first worker can have the others take part in what it does alone, as often as it needs and also when it fails afterwards, and that it can't call them where nobody listens.
 * Alone: npx vitest run test/job/crew.test.ts
 */
import { expect, it } from "vitest";
import { runRanks } from "../distributed/ranks.js";
import type { CrewFindings } from "./crew-program.js";

it.each([2, 3])("the first of %i workers calls the others in the middle of its work", async (size) => {
  const [first, ...others] = await runRanks<CrewFindings>("../job/crew-program.ts", size);
  const total = (size * (size + 1)) / 2;
  expect(others).toHaveLength(size - 1);
  for (const each of [first!, ...others]) expect(each).toMatchObject({ sums: [total, total, total], result: "made", step: 7 });
  expect(first!.failed).toBe("Error: on purpose");
  for (const { failed } of others) expect(failed).toBe("FirstFailed: the first worker failed");
  const refusal = "Error: the other workers don't wait for a call";
  expect(first!.refusals).toEqual([refusal, refusal]);
  // What the first returned is theirs.
  for (const { refusals } of others) expect(refusals).toEqual(["", refusal]);
});
