/**
 * Proves that the share of gold answers below the short-answer penalty's minimum is said for each minimum that an entry of the schedule is trained with, and for no other.
 * Alone: npx vitest run test/job/check-training.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { shortAnswerWarnings } from "../../src/job/training/check-training.js";
import { byteBpe } from "../training/tiny-world.js";

const QUESTIONS = ["one", "one two three four five six seven eight nine ten", "two words", "no"].map((answer) => ({ answers: [answer] }));

function said(schedule: string, ...words: string[]): string[] {
  const { config } = loadConfig({ needed: [], overrides: [`train.schedule=[${schedule}]`, ...words] });
  return shortAnswerWarnings(config, QUESTIONS, byteBpe());
}
const withMinimum = (least: number, weight = 0.3): string =>
  `{phase: generator, steps: 1, contexts: gold, with: {penalties: {short_answer: {weight: ${weight}, min_tokens: ${least}}}}}`;
const SHORT = "train.penalties.short_answer";

describe("a minimum above gold answers", () => {
  it("is said with the share, for each entry's own, once", () => {
    expect(said(`${withMinimum(12)}, ${withMinimum(12)}, ${withMinimum(5)}`)).toEqual([
      expect.stringMatching(/^train\.penalties\.short_answer\.min_tokens is 12, above 75 % of the gold answers/),
      expect.stringMatching(/min_tokens is 5, above 50 % /),
    ]);
    expect(said("{phase: generator, steps: 1, contexts: gold}", `${SHORT}.weight=0.3`, `${SHORT}.min_tokens=5`)).toHaveLength(1);
  });

  it("isn't where every entry switches the penalty off, copies, or asks for no more than there is", () => {
    const run = [`${SHORT}.weight=0.3`, `${SHORT}.min_tokens=12`];
    expect(said(withMinimum(12, 0), ...run)).toEqual([]);
    expect(said("{phase: generator, steps: 1, contexts: copying}", ...run)).toEqual([]);
    expect(said(withMinimum(1))).toEqual([]);
  });
});
