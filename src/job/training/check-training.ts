/**
 * What is checked of the training section once data and models are there: courses of the learning rates over the real number of steps, the schedule, and how many gold answers the short-answer penalty's
 * minimum is above. Checks that need no data are the config's own. The trap: a minimum above the gold length would fight the cross-entropy, so it is capped for each answer, and the share that is hit is said.
 */
import { isValidationMetric, metricsIn, parseCondition } from "../../config/condition.js";
import { configOfEntry, takesPenalties } from "../../config/phase-settings.js";
import type { TandemConfig } from "../../config/schema.js";
import { COURSES } from "../../config/schema-train.js";
import type { Question } from "../../corpus/questions.js";
import { UserError } from "../../errors.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { validateRateCourse } from "../../training/optimiser.js";
import { shareCapped } from "../../training/penalties/short-answer.js";
import { plannedSteps, validateSchedule, type ScheduledPhase } from "../../training/schedule.js";
import { unknownWarnings } from "../data/check-unknown.js";
import { requireGold } from "../run/require-gold.js";

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
  const warnings = validateSchedule(schedule, known, config.train.reader.fixed_index);
  requireGold(config, schedule, goldCount);
  checkCourses(config, schedule);
  return [...warnings, ...shortAnswerWarnings(config, questions, tokenizer), ...unknownWarnings(config, questions)];
}

/** How many gold answers are shorter than each minimum that an entry of the schedule is trained with. */
export function shortAnswerWarnings(config: TandemConfig, questions: readonly Pick<Question, "answers">[], tokenizer: Tokenizer): string[] {
  const own = config.train.schedule.flatMap((_, index) =>
    takesPenalties(config, index) ? [configOfEntry(config, index).train.penalties.short_answer] : [],
  );
  const minima = new Set(own.filter(({ weight }) => weight > 0).map(({ min_tokens: least }) => least));
  if (minima.size === 0) return [];
  const answers = questions.slice(0, ANSWERS).map(({ answers: [first] }) => ` ${first ?? ""}`);
  const lengths = tokenizer.encodeBatch(answers, { specialTokens: false }).map((ids) => ids.length);
  return [...minima].flatMap((least) => {
    const share = shareCapped(least, lengths);
    const text = `train.penalties.short_answer.min_tokens is ${least}, above ${(100 * share).toFixed(0)} % of the gold answers; for those the gold length counts`;
    return share > 0 ? [text] : [];
  });
}

/** Every course over the steps that it has: one a kind, and one for each entry with its own. One without an end has none to check. */
function checkCourses(config: TandemConfig, schedule: readonly ScheduledPhase[]): void {
  for (const [phase, section] of COURSES) {
    const check = ({ train }: TandemConfig, steps: number, where: string): void => {
      const { lr: peak, warmup, flat, decay, floor } = train[section];
      validateRateCourse({ peak, warmup, flat, decay, floor }, steps, where);
    };
    const shared = schedule.filter((entry) => entry.phase === phase && entry.isOwnCourse !== true);
    const total = shared.some(({ steps }) => steps === Infinity) ? Infinity : plannedSteps(shared);
    if (total > 0) check(config, total, `train.${section}`);
    for (const [index, entry] of schedule.entries())
      if (entry.phase === phase && entry.isOwnCourse === true)
        check(configOfEntry(config, index), entry.steps, `train.schedule.${index}.with`);
  }
}

/** Metrics that decide something must be measured: there must be validation questions, and for retrieval's metrics some that name a gold passage. @throws UserError */
export function checkMetrics(config: TandemConfig, valid: readonly Question[]): void {
  const { schedule, early_stopping: stopping, checkpoint } = config.train;
  const named = schedule.flatMap(({ until, when }, index) =>
    [until, when].flatMap((text) =>
      text === null ? [] : metricsIn(parseCondition(text)).map((metric) => ({ metric, where: `train.schedule.${index}` })),
    ),
  );
  if (stopping.metric !== null) named.push({ metric: stopping.metric, where: "train.early_stopping.metric" });
  if (checkpoint.load_best) named.push({ metric: checkpoint.metric, where: "train.checkpoint.load_best" });
  for (const { metric, where } of named.filter((own) => isValidationMetric(own.metric))) {
    if (valid.length === 0)
      throw new UserError({
        where,
        what: `asks for ${metric}, and there are no validation questions`,
        remedy: "give data.questions.valid or data.questions.split.valid",
      });
    if (/^(mrr|recall@)/.test(metric) && valid.every(({ passageIds }) => passageIds.length === 0))
      throw new UserError({
        where,
        what: `asks for ${metric}, and no validation question names a gold passage`,
        remedy: "ask for em, f1 or rouge_l",
      });
  }
}
