/**
 * Validation answers for people: Markdown with question, gold, answer and the passages with their scores, and JSON lines with the same for programs. Not a summary: every question that was asked is
 * in both. The trap: texts come from the corpus and may hold Markdown; they are quoted line by line.
 */
import type { Answered } from "../evaluation/answered.js";

/** One JSON object a line. */
export function answersJsonLines(answered: readonly Answered[]): string {
  return answered.map((entry) => `${JSON.stringify(entry)}\n`).join("");
}

export function answersMarkdown(title: string, answered: readonly Answered[]): string {
  return [`# ${title}`, "", ...answered.flatMap((entry) => [...answerLines(entry), ""])].join("\n");
}

function answerLines(entry: Answered): string[] {
  const mark = entry.em === 1 ? "correct" : entry.f1 > 0 ? `F1 ${entry.f1.toFixed(2)}` : "wrong";
  return [
    `## ${escaped(entry.question)}`,
    "",
    `- answer: ${escaped(entry.prediction)} (${mark})`,
    ...(entry.predictions ?? []).slice(1).map((answer, i) => `- answer ${i + 2}: ${escaped(answer)}`),
    `- gold: ${entry.answers.map(escaped).join(" / ")}`,
    ...entry.passages.flatMap((passage, i) => {
      const gold = entry.gold.includes(passage.id) ? ", gold" : "";
      const score = passage.score === null || Number.isNaN(passage.score) ? "no score" : passage.score.toFixed(4);
      return [`- passage ${i + 1} (${score}${gold}): ${escaped(passage.title)} [${passage.id}]`, `  > ${escaped(passage.text)}`];
    }),
  ];
}

/** Validation answers for a terminal: the first few, a line or two each. */
export function answersText(answered: readonly Answered[], most: number): string {
  return answered
    .slice(0, most)
    .map((entry) => {
      const best = entry.passages[0];
      const from =
        best === undefined
          ? ""
          : `\n     from: ${best.title} (${best.score === null || Number.isNaN(best.score) ? "no score" : best.score.toFixed(3)})`;
      return `  ${entry.em === 1 ? "+" : "-"} ${entry.question}\n     answer: ${entry.prediction}   gold: ${entry.answers.join(" / ")}${from}`;
    })
    .join("\n");
}

function escaped(text: string): string {
  return text.replace(/\s+/g, " ").replace(/([\\`*_[\]<>#|])/g, "\\$1");
}
