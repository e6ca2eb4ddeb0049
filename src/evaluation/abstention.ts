/**
 * How often a pair says that it doesn't know, among questions whose passages answer and among those whose passages don't, and how good it is when it does answer. It trains nothing and chooses no threshold. The trap: a pair that
 * never answers has no wrong answers; so EM among the answered questions stands beside how many they are, and a row's EM still counts every question.
 */
import { normaliseAnswer } from "../text/answer-normalise.js";
import type { Answered, Bounds } from "./answered.js";
import { clusteredInterval } from "./bootstrap.js";
import { hasAnswerIn } from "./ir-metrics.js";

/** Shares are 0 to 1; null where there is no question of the kind. In `report.json` as it is. */
export interface Abstention {
  /** What counts as saying so, after SQuAD's normalisation. */
  readonly unknown_answer: string;
  /** Questions that were shown a gold passage, or one that holds an answer by token match, in its title or text. */
  readonly with_answer: number;
  readonly without_answer: number;
  /** Share of those that were answered by the unknown answer: wrongly. */
  readonly rate_with_answer: number | null;
  readonly rate_with_answer_interval: Bounds | null;
  /** Share of those that were answered by the unknown answer: as it should be. */
  readonly rate_without_answer: number | null;
  readonly rate_without_answer_interval: Bounds | null;
  /** Questions with another answer. */
  readonly answered: number;
  readonly em_answered: number | null;
  readonly em_answered_interval: Bounds | null;
  readonly f1_answered: number | null;
  readonly f1_answered_interval: Bounds | null;
}

/** Counts a row's answers. Intervals are the bootstrap's, clustered by document. */
export function abstentionOf(
  answered: readonly Answered[],
  unknownAnswer: string,
  options: { readonly samples: number; readonly confidence: number },
): Abstention {
  const isUnknown = ({ prediction }: Answered): boolean => normaliseAnswer(prediction) === normaliseAnswer(unknownAnswer);
  // Titles are shown too.
  const isShown = ({ passages, gold, answers }: Answered): boolean =>
    passages.some(({ id }) => gold.includes(id)) ||
    hasAnswerIn(
      passages.map(({ title, text }) => `${title} ${text}`),
      answers,
    ) === 1;
  const [shown, hidden] = [answered.filter(isShown), answered.filter((entry) => !isShown(entry))];
  const given = answered.filter((entry) => !isUnknown(entry));
  const mean = (entries: readonly Answered[], value: (entry: Answered) => number): { mean: number | null; bounds: Bounds | null } => {
    if (entries.length === 0) return { mean: null, bounds: null };
    const documents = entries.map(({ document }) => document);
    const found = clusteredInterval(entries.map(value), documents, { resamples: options.samples, level: options.confidence });
    return { mean: found.mean, bounds: [found.low, found.high] };
  };
  const says = (entry: Answered): number => (isUnknown(entry) ? 1 : 0);
  const [wrongly, rightly] = [mean(shown, says), mean(hidden, says)];
  const [em, words] = [mean(given, (entry) => entry.em), mean(given, (entry) => entry.f1)];
  return {
    unknown_answer: unknownAnswer,
    with_answer: shown.length,
    without_answer: hidden.length,
    rate_with_answer: wrongly.mean,
    rate_with_answer_interval: wrongly.bounds,
    rate_without_answer: rightly.mean,
    rate_without_answer_interval: rightly.bounds,
    answered: given.length,
    em_answered: em.mean,
    em_answered_interval: em.bounds,
    f1_answered: words.mean,
    f1_answered_interval: words.bounds,
  };
}
