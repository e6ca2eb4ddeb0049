/**
 * Whether there are gold passages for the phases that need them, before hours are spent: first by what the question file names, before a corpus is built, then by what was found in the corpus. It maps nothing. The trap: the first look only says no
 * where no question names a passage at all; a name that the corpus doesn't have shows later.
 */
import type { TandemConfig } from "../../config/schema.js";
import { readQuestions } from "../../corpus/questions.js";
import { UserError } from "../../errors.js";
import { positionAt, totalSteps, type ScheduledPhase } from "../../training/schedule.js";
import { outlineOf } from "./run-schedule.js";

/** {@link requireGold} by the question file alone. @throws UserError */
export function requireNamedGold(config: TandemConfig): void {
  const { train } = config.data.questions;
  if (train === null || readQuestions(train).questions.some(({ passageIds }) => passageIds.length > 0)) return;
  requireGold(config, outlineOf(config), 0);
}

/**
 * @param goldCount training questions with a gold passage in the corpus
 * @throws UserError naming the phase that can't run without
 */
export function requireGold(config: TandemConfig, schedule: readonly ScheduledPhase[], goldCount: number): void {
  const finite = schedule.map((entry) => (entry.steps === Infinity ? { ...entry, steps: 1 } : entry));
  const positions = Array.from(finite.keys(), (i) => positionAt(finite, totalSteps(finite.slice(0, i)))).filter((at) => at !== undefined);
  const fault = (what: string, remedy: string): UserError =>
    new UserError({
      where: "train.schedule",
      what,
      expected: "passage_ids in data.questions.train",
      got: `${goldCount} questions with one`,
      remedy,
    });
  if (goldCount === 0 && positions.some(({ phase, contexts }) => phase === "generator" && contexts === "gold"))
    throw fault(
      "a generator phase wants gold passages, and no training question has one in the corpus",
      "begin the schedule with {phase: refresh} and give its generator phases contexts: retrieved",
    );
  const contrastive = positions.find(({ phase }) => phase === "contrastive");
  if (contrastive === undefined || goldCount > 1) return;
  if (config.train.contrastive.positives !== "answer")
    throw fault("a contrastive phase wants gold passages as positives", "set train.contrastive.positives=answer");
  if (contrastive.refreshes === 0)
    throw fault(
      "a contrastive phase takes passages that hold the answer as positives, but no index was built before",
      "put a refresh phase before it",
    );
}
