/**
 * The history of a question in a file: a list of earlier questions with their answers, oldest first. The trap: a turn without an answer isn't left out, it is refused, since what follows it would be
 * asked after something else.
 */
import type { HistoryTurn } from "./question.js";

/** @throws what `fault` makes of the first wrong turn */
export function historyOf(value: unknown, fault: (what: string) => Error): HistoryTurn[] {
  if (!Array.isArray(value)) throw fault("history is not a list");
  return value.map((turn: unknown, i) => {
    const { question, answer } = (typeof turn === "object" && turn !== null ? turn : {}) as { question?: unknown; answer?: unknown };
    if (typeof question !== "string" || typeof answer !== "string" || question.trim() === "" || answer.trim() === "")
      throw fault(`history[${i}] is not a question with its answer`);
    return { question: question.trim(), answer: answer.trim() };
  });
}
