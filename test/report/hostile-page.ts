/** A report's page in which everything that data can bring is hostile: markup, attributes, scripts, loads from elsewhere, text that runs backwards. Not a test: report-html.test.ts and report-browser.test.ts use it. */
import type { Question } from "../../src/corpus/question.js";
import { abstentionOf } from "../../src/evaluation/abstention.js";
import { averageScores, goldRepetition, scoreAnswer, type Answered } from "../../src/evaluation/answered.js";
import { ROW_MEANINGS, ROW_NAMES, type ReportRow } from "../../src/evaluation/baselines.js";
import { compareRows } from "../../src/evaluation/compare-rows.js";
import { phaseSpans } from "../../src/report/curves.js";
import type { ReportPage } from "../../src/report/report-html.js";

/** Each would show itself: as an element, in the console, or by asking `elsewhere` for something. */
export const attacks = (elsewhere: string): string[] => [
  `<script>document.title = "taken"</script>`,
  `<img src="${elsewhere}/img" onerror="document.title = 'taken'">`,
  `"><svg onload="document.title='taken'"><link rel=stylesheet href=${elsewhere}/css>`,
  `</pre></details></article></section><style>@import url(${elsewhere}/import);</style>`,
  `' onmouseover='document.title="taken"`,
  `<!-- --><iframe src="${elsewhere}/frame"></iframe>`,
  `<meta http-equiv="refresh" content="0;url=${elsewhere}/refresh"><base href="${elsewhere}/">`,
  "\u202eright to left\u0000 and a zero byte\ud800",
];

const KS = [1, 5];
const OPTIONS = { recallKs: KS, samples: 50, confidence: 0.95, permutations: 100 };

/** Twelve questions, each with another attack in question, answers, prediction and passages. */
function answers(words: readonly string[], offset: number): Answered[] {
  return Array.from({ length: 12 }, (_, i) => {
    const attack = words[i % words.length] ?? "";
    const question: Question = {
      id: `q${i} ${attack}`,
      question: `Q ${attack}`,
      answers: [`gold ${attack}`],
      passageIds: ["p"],
      document: `d${i % 4} ${attack}`,
    };
    const shown = [{ id: attack, title: `T ${attack}`, score: 0.5, text: `text ${attack} ${"long ".repeat(40)}` }];
    return scoreAnswer(
      question,
      (i + offset) % 3 === 0 ? `gold ${attack}` : attack,
      shown,
      (i + offset) % 2 === 0 ? ["p"] : ["x", "p"],
      KS,
    );
  });
}

export function hostilePage(elsewhere: string): ReportPage {
  const words = attacks(elsewhere);
  const base = answers(words, 1);
  const trained = answers(words, 0);
  const row = (name: string, meaning: string): ReportRow => {
    const answered = name === "trained-pair" ? trained : base;
    const compared = name === "base-pair" ? null : compareRows(answered, base, OPTIONS);
    return {
      name,
      meaning,
      ...averageScores(answered, OPTIONS),
      against_base: compared,
      abstention: abstentionOf(answered, words[0] ?? "", OPTIONS),
    };
  };
  const schedule = [
    { phase: "generator", steps: 60 },
    { phase: "refresh", steps: 1 },
    { phase: words[1] ?? "", steps: 40 },
  ];
  return {
    report: {
      name: words[0] ?? "",
      split: words[2] ?? "",
      questions: 12,
      passages: 34,
      k: 2,
      confidence: 0.95,
      rows: ROW_NAMES.map((name) => row(name, `${ROW_MEANINGS[name]} ${words[3] ?? ""}`)),
      more: [row(words[1] ?? "", "x")],
      gold_rep: goldRepetition([{ answers: ["a b"] }]),
      seconds: {},
    },
    base,
    trained,
    metrics: Array.from({ length: 10 }, (_, i) => ({ step: 10 * (i + 1), phase: "generator", loss: 5 / (i + 1), [words[i % 4] ?? ""]: i })),
    validation: [60, 61, 101].map((step) => ({ step, phase: "generator", em: step / 200, recall: { [words[0] ?? ""]: 0.5 } })),
    phases: phaseSpans(schedule),
    config: words.join("\n"),
    overrides: words,
    origin: words.map((word) => [word, word] as const),
  };
}
