/**
 * How long answering and scoring a question takes, on the run's own questions with as many passages as it will read, the gold ones first. The trap: a generator that wasn't trained yet never ends an answer, so answers are as long as the
 * longest gold answer of their batch; one that will ramble takes longer.
 */
import type { Question } from "../../corpus/questions.js";
import type { Answered } from "../../evaluation/answered.js";
import { evaluateRow } from "../../evaluation/baselines.js";
import { compareRows } from "../../evaluation/compare-rows.js";
import { answersJsonLines, answersMarkdown } from "../../report/validation-answers.js";
import type { Hit } from "../../retrieval/retriever.js";
import { decodingOf } from "../models/decoding-config.js";
import type { OpenRun } from "../run/open-run.js";
import { ownSeconds } from "./own-clock.js";

export interface AnswerCosts {
  /** Seconds of an answer from passages, its scores included. */
  readonly open: number;
  /** Seconds of one without passages. */
  readonly closed: number;
  /** Seconds of a question where a row of the report is compared with the base pair. */
  readonly compared: number;
  /** Bytes of an answer in a validation's files. */
  readonly bytes: number;
}

const NOTHING: AnswerCosts = { open: 0, closed: 0, compared: 0, bytes: 0 };

/** @param seconds for open answers; the rest takes about as long again */
export async function answerCosts(run: OpenRun, seconds: number): Promise<AnswerCosts> {
  const { sets, config, report } = run;
  const questions = sets.valid.length > 0 ? sets.valid : sets.test;
  if (questions.length === 0) return NOTHING;
  const { batch } = config.eval;
  // One batch that isn't counted.
  await answered(run, questions.slice(0, batch), true);
  const [began, own] = [performance.now(), ownSeconds()];
  const open: Answered[] = [];
  do {
    const from = open.length % questions.length;
    open.push(...(await answered(run, questions.slice(from, from + batch), true)));
    report({ type: "progress", name: "measuring answers", done: open.length, total: Infinity, detail: "answers" });
  } while (performance.now() - began < 1000 * seconds);
  const half = ownSeconds();
  const some = questions.slice(0, Math.min(open.length, questions.length));
  await answered(run, some, false);
  const compared = ownSeconds();
  const { samples, confidence } = config.eval.bootstrap;
  const first = open.slice(0, some.length);
  const options = { samples, confidence, recallKs: config.eval.recall_at, permutations: config.eval.permutation.samples };
  compareRows(first, first, options);
  return {
    open: (half - own) / open.length,
    closed: (compared - half) / some.length,
    compared: (ownSeconds() - compared) / some.length,
    bytes: (Buffer.byteLength(answersJsonLines(first)) + Buffer.byteLength(answersMarkdown("", first))) / first.length,
  };
}

async function answered(run: OpenRun, questions: readonly Question[], isOpen: boolean): Promise<Answered[]> {
  const { config, generator } = run;
  const { bootstrap, batch, recall_at: recallKs, max_new_tokens: most } = config.eval;
  const gold = generator.tokenizer.encodeBatch(questions.map(({ answers }) => answers[0] ?? ""));
  const evidence = { name: "plan", meaning: "a measurement", generator, hits: isOpen ? standIns(run, questions) : [], isSearch: isOpen };
  const { answered: scored } = await evaluateRow(questions, evidence, {
    passages: config.prompt.passages,
    recallKs,
    maxNewTokens: Math.min(most, 1 + Math.max(...gold.map(({ length }) => length))),
    batch,
    decoding: decodingOf(config.generation, config.seed),
    samples: bootstrap.samples,
    confidence: bootstrap.confidence,
  });
  return scored;
}

/** As many hits as a search for the report gives. */
function standIns({ config, store }: OpenRun, questions: readonly Question[]): Hit[][] {
  const depth = Math.min(store.size, Math.max(config.prompt.passages, ...config.eval.recall_at));
  return questions.map(({ passageIds }, question) => {
    const gold = passageIds.flatMap((id) => store.rowOf(id) ?? []);
    const any = Array.from({ length: depth }, (_, i) => (question + i) % store.size);
    const rows = [...new Set([...gold, ...any])].slice(0, depth);
    return rows.map((row, i) => ({ row, rank: i + 1, score: 0, passage: store.get(row) }));
  });
}
