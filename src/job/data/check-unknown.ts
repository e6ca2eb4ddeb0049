/**
 * Whether the unknown answer is one that a question really has: then an abstention can't be told from an answer, in training and in the report's counts. It looks at the data only; what the keys must say together is
 * config/check-evidence.ts's. The trap: answers are compared as SQuAD compares them, so "The unknown" is "unknown".
 */
import type { TandemConfig } from "../../config/schema.js";
import type { Question } from "../../corpus/questions.js";
import { normaliseAnswer } from "../../text/answer-normalise.js";

/** At most one warning. */
export function unknownWarnings(config: TandemConfig, questions: readonly Pick<Question, "question" | "answers">[]): string[] {
  const { unknown_answer: unknown } = config.train.generator;
  if (unknown === null) return [];
  const normalised = normaliseAnswer(unknown);
  const taken = questions.filter(({ answers }) => answers.some((answer) => normaliseAnswer(answer) === normalised));
  const [first] = taken;
  if (first === undefined) return [];
  return [
    `train.generator.unknown_answer ${JSON.stringify(unknown)} is a gold answer of ${taken.length} training questions, for example ${JSON.stringify(first.question)}: there it can't be told from an answer`,
  ];
}
