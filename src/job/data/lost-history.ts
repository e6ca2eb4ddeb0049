/**
 * Says which questions lose their earlier turns: a template without `{history}` asks a follow-up as if it were the first question. It changes nothing; it is said once, where training or an evaluation
 * begins. The trap: rows without passages have a template of their own.
 */
import type { PromptConfig } from "../../config/schema.js";
import type { Question } from "../../corpus/question.js";

/** One warning, or none. */
export function lostHistory(prompt: PromptConfig, questions: readonly Pick<Question, "history">[]): string[] {
  const following = questions.filter(({ history = [] }) => history.length > 0).length;
  const blind = (["template", "closed_book_template"] as const).filter((key) => !prompt[key].includes("{history}"));
  if (following === 0 || blind.length === 0) return [];
  const keys = blind.map((key) => `prompt.${key}`).join(" and ");
  return [
    `${following} of ${questions.length} questions have a history, which ${keys} ${blind.length === 1 ? "doesn't" : "don't"} show: each is asked as if it were the first; train with {history} in the template, or take history out of the questions`,
  ];
}
