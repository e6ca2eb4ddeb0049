/**
 * Proves that the first worker can have the others take part in what it does alone, as often as it needs and also when it fails afterwards, that it can't ask them outside of its turn, and that weights which differ by a bit are refused on every worker, by name.
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
  for (const { weights } of [first!, ...others])
    expect(weights).toEqual([
      "nothing",
      expect.stringMatching(
        `^UserError: step 0: the retriever's weights of worker ${size - 1} aren't those of worker 0; expected equal weights`,
      ),
    ]);
  for (const { refusal } of [first!, ...others]) expect(refusal).toBe('Error: "together" was asked for outside the leader\'s turn');
});
