/**
 * Proves that mining with `ranks: kept` chooses the very negatives of sentence-transformers' `mine_hard_negatives`, from the same embeddings, over margins, bounds and ranges, by the search's own scores and by a
 * cross-encoder's, for questions with one positive and with two. Alone: npx vitest run test/job/mining/sentence-transformers.test.ts
 */
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load-config.js";
import type { RetrievedRows } from "../../../src/job/index/artefacts.js";
import { chooseBySearch, chooseByTeacher, miningDepth, rowsToJudge, type MiningConfig } from "../../../src/job/mining/choose-negatives.js";
import type { MinedNegatives } from "../../../src/training/hard-negatives.js";
import { uniform } from "../../../src/training/counter-random.js";
import { referenceMissing, runPython } from "../../nn/reference-python.js";

const [PASSAGES, QUESTIONS, DIMENSION, WANTED] = [60, 14, 6, 3];
const vectors = (count: number, side: number): number[][] =>
  Array.from({ length: count }, (_, i) => {
    const raw = Array.from({ length: DIMENSION }, (_, d) => Math.fround(uniform(7, side, i, d) - 0.4));
    const length = Math.hypot(...raw);
    return raw.map((value) => Math.fround(value / length));
  });
const passages = vectors(PASSAGES, 1);
const questions = vectors(QUESTIONS, 2);
/** Every third question has two. */
const goldRows = questions.map((_, q) => (q % 3 === 0 ? [q, q + 20] : [q]));
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
const judge = (q: number, p: number): number => uniform(9, q, p) * 4 - 2;

/** Everything with its score, the best first. */
const ranked = questions.map((question) =>
  passages.map((passage, row) => ({ row, score: dot(question, passage) })).sort((a, b) => b.score - a.score),
);
const dense: RetrievedRows = {
  k: PASSAGES,
  rowsOf: (q) => ranked[q]!.map(({ row }) => row),
  scoresOf: (q) => ranked[q]!.map(({ score }) => score),
  positiveOf: (q) => Math.min(...goldRows[q]!.map((row) => dot(questions[q]!, passages[row]!))),
};

const REFERENCE = `
import json, sys, types
import numpy as np, torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives
given = json.loads(sys.argv[1])
passages = {f"p{i}": v for i, v in enumerate(given["passages"])}
questions = {f"q{i}": v for i, v in enumerate(given["questions"])}
table = given["judged"]
class Model:
    device = torch.device("cpu")
    model_card_data = types.SimpleNamespace(base_model="")
    def encode_document(self, texts, **_): return np.array([passages[t] for t in texts], dtype=np.float32)
    def encode_query(self, texts, **_): return np.array([questions[t] for t in texts], dtype=np.float32)
    def similarity(self, a, b): return torch.as_tensor(a) @ torch.as_tensor(b).T
    def similarity_pairwise(self, a, b): return (torch.as_tensor(a) * torch.as_tensor(b)).sum(1)
class Judge:
    def predict(self, pairs, **_): return torch.tensor([table[int(q[1:])][int(p[1:])] for q, p in pairs])
data = Dataset.from_dict({
    "anchor": [f"q{q}" for q, rows in enumerate(given["gold"]) for _ in rows],
    "positive": [f"p{row}" for rows in given["gold"] for row in rows],
})
answers = []
for settings in given["settings"]:
    extra = {"cross_encoder": Judge()} if settings.pop("judged") else {}
    mined = mine_hard_negatives(data, Model(), corpus=list(passages), num_negatives=given["wanted"], verbose=False, output_format="triplet", **settings, **extra)
    found = [[] for _ in given["gold"]]
    for anchor, negative in zip(mined["anchor"], mined["negative"]):
        q, p = int(anchor[1:]), int(negative[1:])
        if p not in found[q]: found[q].append(p)
    answers.append(found)
print(json.dumps(answers))
`;

interface Case {
  readonly name: string;
  readonly judged: boolean;
  readonly settings: Partial<MiningConfig>;
}
const CASES: readonly Case[] = [
  { name: "the range alone", judged: false, settings: { from: 1, to: 10 } },
  { name: "a range that starts below the first ranks", judged: false, settings: { from: 5, to: 12 } },
  { name: "an absolute margin", judged: false, settings: { from: 1, to: 30, absolute_margin: 0.2 } },
  { name: "an absolute margin of 0", judged: false, settings: { from: 1, to: 20, absolute_margin: 0 } },
  { name: "a relative margin", judged: false, settings: { from: 1, to: 40, relative_margin: 0.05 } },
  { name: "a relative margin and a start", judged: false, settings: { from: 3, to: 40, relative_margin: 0.5 } },
  { name: "a highest score", judged: false, settings: { from: 1, to: 50, max_score: 0.4 } },
  { name: "a lowest score", judged: false, settings: { from: 1, to: 50, min_score: 0.6 } },
  {
    name: "both margins and both bounds",
    judged: false,
    settings: { from: 2, to: 50, absolute_margin: 0.1, relative_margin: 0.3, max_score: 0.7, min_score: -0.2 },
  },
  { name: "a range larger than the corpus", judged: false, settings: { from: 1, to: 200, max_score: 0.1 } },
  { name: "a cross-encoder with an absolute margin", judged: true, settings: { from: 1, to: 20, absolute_margin: 0.3 } },
  { name: "a cross-encoder with a relative margin and a start", judged: true, settings: { from: 2, to: 20, relative_margin: 0.2 } },
  { name: "a cross-encoder with bounds", judged: true, settings: { from: 1, to: 15, max_score: 1, min_score: -1 } },
];

function ours({ judged, settings: change }: Case): MinedNegatives {
  const { mining: base } = loadConfig({ overrides: ["data=quickstart"] }).config.train.contrastive;
  const settings: MiningConfig = { ...base, ...change, ranks: "kept" };
  const mined = goldRows.map((rows) => ({ goldRows: rows, answers: [] }));
  const parts = { settings, mined, textOf: (row: number) => `passage number ${row}`, dense, lexical: undefined };
  if (!judged) return chooseBySearch(parts);
  const candidates = rowsToJudge(parts);
  expect(candidates[0]).toHaveLength(miningDepth(settings, goldRows));
  return chooseByTeacher(parts, {
    k: 1,
    rowsOf: (q) => candidates[q]!,
    scoresOf: (q) => candidates[q]!.map((row) => judge(q, row)),
    positiveOf: (q) => Math.min(...goldRows[q]!.map((row) => judge(q, row))),
  });
}

describe.skipIf(referenceMissing !== undefined)(
  `sentence-transformers${referenceMissing === undefined ? "" : ` (${referenceMissing})`}`,
  () => {
    it("mines the same negatives in the same order", () => {
      const answers = runPython(REFERENCE, {
        passages,
        questions,
        gold: goldRows,
        wanted: WANTED,
        judged: questions.map((_, q) => passages.map((_, p) => judge(q, p))),
        settings: CASES.map(({ judged, settings: { from = 1, to = 1, ...rest } }) => ({
          judged,
          range_min: from - 1,
          range_max: to,
          ...rest,
        })),
      }) as number[][][];
      CASES.forEach((each, i) => {
        const chosen = ours(each).rows.map((rows) => [...rows.slice(0, WANTED)]);
        expect(chosen, each.name).toEqual(answers[i]);
      });
      // The rules did something: some questions lost all they had, some nothing.
      expect(answers.flat().some((rows) => rows.length === 0)).toBe(true);
      expect(answers.flat().some((rows) => rows.length === WANTED)).toBe(true);
    }, 120_000);
  },
);
