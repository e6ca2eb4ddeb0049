/**
 * Proves that an answered question carries the scores of its parts, that retrieval is scored only where there is gold and a search, and that averages and their counts are those of the questions.
 * Alone: npx vitest run test/evaluation/answered.test.ts
 */
import { describe, expect, it } from "vitest";
import type { Question } from "../../src/corpus/question.js";
import { averageScores, goldRepetition, scoreAnswer, shownHit, type Answered } from "../../src/evaluation/answered.js";

const question = (change: Partial<Question> = {}): Question => ({
  id: "q1",
  question: "Who is the mayor of Alder?",
  answers: ["Ida Renhan", "Renhan"],
  passageIds: ["p1"],
  document: "Alder",
  ...change,
});
const shown = [
  { id: "p2", title: "Birch", score: 0.9, text: "Birch is a mountain." },
  { id: "p1", title: "Alder", score: 0.5, text: "Its mayor is Ida Renhan." },
];
const KS = [1, 2];
const options = { recallKs: KS, samples: 200, confidence: 0.95 };

describe("scoreAnswer", () => {
  it("joins the scores of answer, context and ranking", () => {
    const scored = scoreAnswer(question(), "the Ida Renhan!", shown, ["p2", "p1"], KS);
    expect(scored).toMatchObject({ id: "q1", em: 1, f1: 1, document: "Alder", gold: ["p1"], answerInContext: 1, passages: shown });
    expect(scored.retrieval).toEqual({ recall: { "1": 0, "2": 1 }, ndcg: { "1": 0, "2": 1 / Math.log2(3) }, reciprocalRank: 0.5 });
    expect(scored).toMatchObject({ rougeL: 0.8, repetition: { "1": 0, "2": 0, "3": 0, "4": 0 } });
    const half = scoreAnswer(question({ answers: ["Ida Renhan"] }), "Ida Vivfum", shown.slice(0, 1), ["p1"], KS);
    expect(half).toMatchObject({ em: 0, f1: 0.5, answerInContext: 0, retrieval: { recall: { "1": 1, "2": 1 }, reciprocalRank: 1 } });
    expect(scoreAnswer(question(), "Ida Ida Ida", [], undefined, KS).repetition).toEqual({ "1": 1 - 1 / 3, "2": 1 / 2, "3": 0, "4": 0 });
  });

  it("scores no retrieval without a search or without gold", () => {
    expect(scoreAnswer(question(), "x", shown, undefined, KS).retrieval).toBeUndefined();
    expect(scoreAnswer(question({ passageIds: [] }), "x", shown, ["p1"], KS).retrieval).toBeUndefined();
  });

  it("clusters by document, else by gold passage, else by the question itself", () => {
    const { id, question: asked, answers, passageIds } = question();
    const without: Question = { id, question: asked, answers, passageIds };
    expect(scoreAnswer(without, "x", [], undefined, KS).document).toBe("p1");
    expect(scoreAnswer({ ...without, passageIds: [] }, "x", [], undefined, KS).document).toBe("q1");
  });

  it("shows a hit with its passage and score", () => {
    const hit = { passage: { id: "p", title: "T", text: "x", document: "d" }, score: 0.25 };
    expect(shownHit(hit)).toEqual({ id: "p", title: "T", score: 0.25, text: "x" });
  });
});

describe("averageScores", () => {
  const answered: Answered[] = [
    scoreAnswer(question(), "Ida Renhan", shown, ["p1"], KS),
    scoreAnswer(question({ id: "q2", document: "Birch", passageIds: ["p9"] }), "Ida Vivfum", [], ["p2", "p1"], KS),
    scoreAnswer(question({ id: "q3", document: "Cedar", passageIds: [] }), "nothing", [], ["p1"], KS),
  ];

  it("is the mean over all questions for answers, and over those with gold for retrieval", () => {
    const scores = averageScores(answered, options);
    expect(scores).toMatchObject({ questions: 3, with_gold: 2, recall: { "1": 0.5, "2": 0.5 }, mrr: 0.5 });
    expect(scores.em).toBeCloseTo(1 / 3, 12);
    expect(scores.answer_in_context).toBeCloseTo(1 / 3, 12);
    // "Ida Vivfum" against "Ida Renhan" is 1/2, against "Renhan" 0.
    expect(scores.f1).toBeCloseTo(1.5 / 3, 12);
    const [low, high] = scores.em_interval;
    expect(low).toBe(0);
    expect(high).toBeGreaterThan(scores.em);
    expect(scores.f1_interval[0]).toBeLessThanOrEqual(scores.f1);
    expect(scores.f1_interval[1]).toBeGreaterThanOrEqual(scores.f1);
  });

  it("gives every mean an interval that holds it, and rep-n the mean over questions", () => {
    const scores = averageScores(answered, options);
    expect(scores.rouge_l).toBeCloseTo((1 + 0.5 + 0) / 3, 12);
    expect(scores.ndcg["2"]).toBeCloseTo((1 + 0) / 2, 12);
    expect(scores.rep).toEqual({ "1": 0, "2": 0, "3": 0, "4": 0 });
    for (const [mean, bounds] of [
      [scores.rouge_l, scores.rouge_l_interval],
      [scores.answer_in_context, scores.answer_in_context_interval],
      [scores.mrr, scores.mrr_interval],
      [scores.recall["1"], scores.recall_interval["1"]],
      [scores.ndcg["2"], scores.ndcg_interval["2"]],
    ] as const) {
      expect(bounds![0]).toBeLessThanOrEqual(mean!);
      expect(bounds![1]).toBeGreaterThanOrEqual(mean!);
      expect(bounds![1]).toBeGreaterThan(bounds![0]);
    }
  });

  it("reports beside what the gold answers repeat, each question's answers counting together as one", () => {
    const repeats = goldRepetition([{ answers: ["no no", "no"] }, { answers: ["so so so"] }]);
    expect(repeats["1"]).toBeCloseTo((1 / 4 + 2 / 3) / 2, 12);
    expect(repeats["2"]).toBeCloseTo((0 + 1 / 2) / 2, 12);
  });

  it("says null, not 0, where nothing was retrieved", () => {
    const closed = [scoreAnswer(question(), "Ida Renhan", [], undefined, KS)];
    expect(averageScores(closed, options)).toMatchObject({
      recall: { "1": null, "2": null },
      recall_interval: { "1": null, "2": null },
      ndcg: { "1": null, "2": null },
      mrr: null,
      mrr_interval: null,
      with_gold: 0,
      em: 1,
    });
  });

  it("is the same for any order of the questions, intervals aside, and the same every time", () => {
    const { em, f1, recall, mrr } = averageScores([...answered].reverse(), options);
    expect({ em, f1, recall, mrr }).toEqual((({ em, f1, recall, mrr }) => ({ em, f1, recall, mrr }))(averageScores(answered, options)));
    expect(averageScores(answered, options)).toEqual(averageScores(answered, options));
  });

  it("throws without a question", () => {
    expect(() => averageScores([], options)).toThrow();
  });
});
