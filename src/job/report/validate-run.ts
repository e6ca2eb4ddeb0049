/**
 * After a phase the validation questions are answered by the pair that is being trained: never by the pair it started from. Results go to `validation/` as JSON lines, Markdown and one summary line
 * a phase. The trap: after a contrastive phase the index lags behind the retriever, so the passages are embedded anew; the refresh that follows finds that index and doesn't build it again.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { evaluateRow, type ReportRow } from "../../evaluation/baselines.js";
import { goldRepetition, type Scores } from "../../evaluation/answered.js";
import { answersJsonLines, answersMarkdown } from "../../report/validation-answers.js";
import { twoEncoders } from "../../retrieval/two-encoders.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import type { RunState } from "../../training/run-state.js";
import type { SchedulePosition } from "../../training/schedule.js";
import { currentRetriever } from "../index/artefacts.js";
import { sentenceFilterOf, shownHits } from "../models/context-filter.js";
import { decodingOf } from "../models/decoding-config.js";
import type { OpenRun } from "../run/open-run.js";
import { healthFigures, watchValidation, type HealthFigures } from "../training/watch-collapse.js";

interface ValidationLine {
  readonly step: number;
  readonly phase: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly em: number;
  readonly f1: number;
  readonly rouge_l: number;
  readonly mrr: number | null;
  readonly recall: Scores["recall"];
  readonly ndcg: Scores["ndcg"];
  readonly rep: Scores["rep"];
  readonly answer_in_context: number;
  readonly health: HealthFigures;
  /** Where an unknown answer is configured: how often it is given with and without an answer in the context, and EM where it isn't. */
  readonly abstention?: Readonly<Record<"with_answer" | "without_answer" | "em_answered", number | null>>;
}

/** Answers, scores, writes, and notes the best metric so far in the state. @throws AlarmError when the pair has collapsed and that is to stop the run or take it back */
export async function validateRun(run: OpenRun, position: SchedulePosition, state: RunState): Promise<void> {
  const { config, sets, report } = run;
  const questions = evenly(sets.valid, config.train.validate.questions ?? sets.valid.length);
  if (questions.length === 0) return;
  const step = state.progress.step;
  const { retriever, indexName } = await currentRetriever(run.artefacts, run.encoder, "validation");
  const passages = config.prompt.passages;
  const recallKs = config.eval.recall_at;
  const hits = await retriever.search(
    questions.map(({ question }) => question),
    Math.max(passages, ...recallKs),
  );
  retriever.index.dispose();
  state.progress.artefacts = { ...state.progress.artefacts, validated: indexName };
  const filter = sentenceFilterOf(
    config.prompt,
    run.artefacts.template,
    twoEncoders(run.encoder, run.artefacts.passages),
    run.generator.tokenizer,
  );
  const shown = await shownHits(filter, questions, hits, passages, (done, total) =>
    report({ type: "progress", name: "sentences of validation", done, total, detail: "questions" }),
  );
  const evidence = { name: "validation", meaning: "the pair being trained", generator: run.generator, hits, shown, isSearch: true };
  const { bootstrap, batch, max_new_tokens: maxNewTokens } = config.eval;
  const { row, answered } = await evaluateRow(questions, evidence, {
    passages,
    recallKs,
    maxNewTokens,
    batch,
    decoding: decodingOf(config.generation, config.seed),
    samples: bootstrap.samples,
    confidence: bootstrap.confidence,
    unknownAnswer: config.train.generator.unknown_answer ?? undefined,
  });
  const name = `step-${String(step).padStart(8, "0")}-${position.phase}`;
  writeFileAtomic(path.join(run.places.validation, `${name}.jsonl`), answersJsonLines(answered));
  writeFileAtomic(path.join(run.places.validation, `${name}.md`), answersMarkdown(`After step ${step}, phase ${position.phase}`, answered));
  const { em, f1, rouge_l, mrr, recall, ndcg, rep, answer_in_context } = row;
  const health = healthFigures(run, position, hits, (rep["4"] ?? 0) - (goldRepetition(questions)["4"] ?? 0));
  const scores = { em, f1, rouge_l, mrr, recall, ndcg, rep, answer_in_context };
  writeSummary(run, { step, phase: position.phase, time: Date.now(), ...scores, health, ...abstained(row) });
  const first = recall["1"];
  report({
    type: "note",
    text: `validation after ${position.phase}, step ${step}: EM ${em.toFixed(3)}, F1 ${f1.toFixed(3)}${first === null || first === undefined ? "" : `, recall@1 ${first.toFixed(3)}`}`,
  });
  // First: a collapsed pair is no best one.
  watchValidation(run, position.phase, state, health);
  noteMetrics(state, row, health);
  noteBest(run, state, row, step);
}

/** What conditions and early stopping look at; what couldn't be measured keeps no older value. */
function noteMetrics({ progress }: RunState, { em, f1, rouge_l, mrr, recall }: Scores, health: HealthFigures): void {
  const measured: Record<string, number | null> = {
    ...{ em, f1, rouge_l, mrr },
    ...Object.fromEntries(Object.entries(recall).map(([k, value]) => [`recall@${k}`, value])),
    ...Object.fromEntries(Object.entries(health).map(([name, value]) => [`health/${name}`, value])),
  };
  const without = (values: Readonly<Record<string, number>>): [string, number][] =>
    Object.entries(values).filter(([name]) => !(name in measured));
  const known = Object.entries(measured).filter((entry): entry is [string, number] => entry[1] !== null);
  progress.earlier = Object.fromEntries(without(progress.earlier));
  progress.metrics = Object.fromEntries([...without(progress.metrics), ...known]);
}

function abstained({ abstention }: ReportRow): Pick<ValidationLine, "abstention"> {
  if (abstention === undefined) return {};
  const { rate_with_answer: withAnswer, rate_without_answer: without, em_answered: em } = abstention;
  return { abstention: { with_answer: withAnswer, without_answer: without, em_answered: em } };
}

/** The summary holds each step once: what a resumed run does again replaces what was there. */
function writeSummary(run: OpenRun, line: ValidationLine): void {
  const file = path.join(run.places.validation, "summary.jsonl");
  const before = existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter((text) => text !== "")
    : [];
  const kept = before.filter((text) => (JSON.parse(text) as ValidationLine).step < line.step);
  writeFileAtomic(file, [...kept, JSON.stringify(line)].map((text) => `${text}\n`).join(""));
}

function noteBest(run: OpenRun, state: RunState, scores: Scores, step: number): void {
  const { metric } = run.config.train.checkpoint;
  const k = /^recall@(\d+)$/.exec(metric)?.[1];
  const value = k === undefined ? scores[metric as "em" | "f1" | "rouge_l" | "mrr"] : scores.recall[k];
  if (value === null || value === undefined) return;
  if (state.progress.best === undefined || value > state.progress.best.value) state.progress.best = { metric, value, step };
}

/** So many at even distances: files are in the order of their documents, and the first ones are of few. */
export function evenly<Item>(all: readonly Item[], count: number): Item[] {
  return all.filter((_, i) => Math.floor((i * count) / all.length) !== Math.floor(((i - 1) * count) / all.length)).slice(0, count);
}
