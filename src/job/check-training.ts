/**
 * What is checked of the training section once data and models are there: courses of the learning rates over the real number of steps, the schedule, and how many gold answers the short-answer penalty's
 * minimum is above. Checks that need no data are the config's own. The trap: a minimum above the gold length would fight the cross-entropy, so it is capped for each answer, and the share that is hit is said.
 */
import type { TandemConfig } from "../config/schema.js";
import { COURSES } from "../config/schema-train.js";
import type { Question } from "../corpus/questions.js";
import { UserError } from "../errors.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { validateRateCourse } from "../training/optimiser.js";
import { shareCapped } from "../training/penalties/short-answer.js";
import { unknownWarnings } from "./check-unknown.js";
import { positionAt, totalSteps, validateSchedule, type ScheduledPhase } from "../training/schedule.js";

/** Answers whose lengths are looked at; more change the share by nothing that matters. */
const ANSWERS = 5000;

/**
 * Warnings, one line each.
 *
 * @param goldCount training questions with a gold passage in the corpus
 * @throws UserError for what can't run
 */
export function checkTraining(
  config: TandemConfig,
  schedule: readonly ScheduledPhase[],
  known: readonly string[],
  questions: readonly Question[],
  tokenizer: Tokenizer,
  goldCount: number,
): string[] {
  const warnings = validateSchedule(schedule, known);
  requireGold(config, schedule, goldCount);
  for (const [phase, section] of COURSES) {
    const steps = totalSteps(schedule.filter((entry) => entry.phase === phase));
    const { lr: peak, warmup, flat, decay, floor } = config.train[section];
    if (steps > 0) validateRateCourse({ peak, warmup, flat, decay, floor }, steps, `train.${section}`);
  }
  const { weight, min_tokens: least } = config.train.penalties.short_answer;
  if (weight > 0) {
    const answers = questions.slice(0, ANSWERS).map(({ answers: [first] }) => ` ${first ?? ""}`);
    const lengths = tokenizer.encodeBatch(answers, { specialTokens: false }).map((ids) => ids.length);
    const share = shareCapped(least, lengths);
    if (share > 0)
      warnings.push(
        `train.penalties.short_answer.min_tokens is ${least}, above ${(100 * share).toFixed(0)} % of the gold answers; for those the gold length counts`,
      );
  }
  return [...warnings, ...unknownWarnings(config, questions)];
}

/** A phase that needs gold passages must not be met after hours of others. */
function requireGold(config: TandemConfig, schedule: readonly ScheduledPhase[], goldCount: number): void {
  const positions = Array.from(schedule.keys(), (i) => positionAt(schedule, totalSteps(schedule.slice(0, i)))).filter(
    (at) => at !== undefined,
  );
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
