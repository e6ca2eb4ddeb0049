/**
 * The report of a run: the six rows of baselines.ts on its test questions, written as report.json, report.txt and report.html. The pair is the one in memory, which is the one that was exported. The trap: the base
 * retriever is read from `start/`, never from the config's path, which may hold something else by now.
 */
import path from "node:path";
import { goldRepetition, type Answered } from "../../evaluation/answered.js";
import {
  evaluateRow,
  goldHits,
  randomHits,
  ROW_MEANINGS,
  type Evidence,
  type ReportRow,
  type RowName,
} from "../../evaluation/baselines.js";
import { compareRows } from "../../evaluation/compare-rows.js";
import { describeDecoding } from "../../generation/decoding.js";
import { Generator } from "../../generation/generator.js";
import type { SentenceFilter } from "../../generation/sentence-filter.js";
import { passageText } from "../../corpus/passage.js";
import type { Question } from "../../corpus/questions.js";
import { answersJsonLines, answersMarkdown, answersText } from "../../report/validation-answers.js";
import { reportText, type RunReport } from "../../report/report-text.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import { Bm25 } from "../../retrieval/bm25.js";
import { Encoder } from "../../retrieval/encoder.js";
import type { Hit, Retriever } from "../../retrieval/retriever.js";
import { twoEncoders } from "../../retrieval/two-encoders.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { takenPhases } from "../../training/schedule.js";
import { UserError } from "../../errors.js";
import { currentRetriever, type ArtefactParts } from "../index/artefacts.js";
import { describeFilter, sentenceFilterOf, shownHits } from "../models/context-filter.js";
import { decodingOf } from "../models/decoding-config.js";
import { encoderOverrides, startFolders } from "../models/models.js";
import type { OpenRun } from "../run/open-run.js";
import { reportPage, type PageRun } from "./report-page.js";

const ANSWERS_SHOWN = 8;

/** What the rows of a report are made of. */
export type ReportParts = Pick<OpenRun, "config" | "encoder" | "generator" | "store" | "artefacts" | "report"> & {
  /** The run directory, for the base retriever. */
  readonly folder: string;
  readonly questions: readonly Question[];
  readonly name: string;
  readonly split: string;
  /** The generator that was trained without contexts. */
  readonly closedBook: Generator | undefined;
};

/** Evaluates a run on its own questions and writes the report. @param pair which of the run's pairs it is, in words, if it isn't the last one */
export async function evaluateRun(run: OpenRun, pair?: string): Promise<RunReport> {
  const { config, sets, places, report, state } = run;
  const { split, limit } = config.eval;
  const chosen = sets[split].slice(0, limit ?? undefined);
  if (chosen.length === 0)
    throw new UserError({
      where: "eval.split",
      what: `there are no ${split} questions`,
      remedy: "choose eval.split=valid, or give data.questions.test",
    });
  report({ type: "stage", name: "evaluation", detail: `${chosen.length} ${split} questions, ${config.eval.rows.length} rows` });
  const closedBook = run.closedBook === undefined ? undefined : ofClosedBook(run.closedBook, run.generator);
  const scored = await makeReport({ ...run, closedBook, folder: places.path, questions: chosen, name: config.name, split });
  const made = pair === undefined ? scored : { ...scored, report: { ...scored.report, pair } };
  const { transitions, step } = state.progress;
  await writeReport(
    made,
    { json: places.reportJson, text: places.reportText, html: places.reportHtml, answers: path.join(places.validation, "final") },
    { ...run, schedule: takenPhases(run.schedule, transitions, step), changes: [] },
    (text) => report({ type: "warning", text }),
  );
  report({
    type: "text",
    text: `Validation answers (all in ${path.join(places.validation, "final.md")}):\n${answersText(made.trained, ANSWERS_SHOWN)}`,
  });
  report({ type: "text", text: reportText(made.report) });
  return made.report;
}

export interface MadeReport {
  readonly report: RunReport;
  /** Answers of the trained pair, and of the base pair to the same questions; none where the row wasn't asked for. */
  readonly trained: readonly Answered[];
  readonly base: readonly Answered[];
}

interface ScoredRow {
  readonly row: ReportRow;
  readonly answered: readonly Answered[];
}

/** Computes every row the config asks for. */
export async function makeReport(parts: ReportParts): Promise<MadeReport> {
  const { config, questions, store } = parts;
  const { bootstrap, permutation, recall_at: recallKs } = config.eval;
  const seconds: Record<string, number> = {};
  const score = scorer(parts, seconds);
  const rows: ScoredRow[] = [];
  for (const name of config.eval.rows) rows.push(await score(await evidenceOf(name, parts, Math.max(config.prompt.passages, ...recallKs))));
  const withoutContext = await score({
    name: "trained-pair-no-context",
    meaning: "trained generator, asked without any passage",
    generator: parts.generator,
    hits: [],
    isSearch: false,
  });
  const answersOf = (name: RowName): readonly Answered[] | undefined => rows.find(({ row }) => row.name === name)?.answered;
  const base = answersOf("base-pair");
  const { samples, confidence } = bootstrap;
  const options = { samples, confidence, recallKs, permutations: permutation.samples };
  const compared = ({ row, answered }: ScoredRow): ReportRow =>
    base === undefined || row.name === "base-pair" ? row : { ...row, against_base: compareRows(answered, base, options) };
  const context = describeFilter(config.prompt);
  return {
    report: {
      name: parts.name,
      split: parts.split,
      questions: questions.length,
      passages: store.size,
      k: config.prompt.passages,
      confidence,
      rows: rows.map(compared),
      more: [compared(withoutContext)],
      gold_rep: goldRepetition(questions),
      decoding: describeDecoding(decodingOf(config.generation, config.seed)),
      ...(context === undefined ? {} : { context }),
      seconds,
    },
    trained: answersOf("trained-pair") ?? [],
    base: base ?? [],
  };
}

/** Answers and scores a row's questions; the time goes into `seconds` by the row's name. */
function scorer(parts: ReportParts, seconds: Record<string, number>): (evidence: Evidence) => Promise<ScoredRow> {
  const { config, questions, report } = parts;
  const { bootstrap, batch, max_new_tokens: maxNewTokens, recall_at: recallKs } = config.eval;
  const { passages } = config.prompt;
  const decoding = decodingOf(config.generation, config.seed);
  const filter = filterOf(parts, parts.encoder);
  return async (evidence) => {
    const start = performance.now();
    const shown = evidence.shown ?? (await shownHits(filter, questions, evidence.hits, passages, contexts(evidence.name, report)));
    const scored = await evaluateRow(
      questions,
      { ...evidence, shown },
      {
        passages,
        recallKs,
        maxNewTokens,
        batch,
        decoding,
        samples: bootstrap.samples,
        confidence: bootstrap.confidence,
        unknownAnswer: config.train.generator.unknown_answer ?? undefined,
        progress: (done, total) => report({ type: "progress", name: `row ${evidence.name}`, done, total, detail: "answers" }),
      },
    );
    seconds[evidence.name] = (performance.now() - start) / 1000;
    return scored;
  };
}

/** The page comes last, and what hinders it is a warning: scores must not be lost because the log that it draws is damaged. */
export async function writeReport(
  made: MadeReport,
  places: { json: string; text: string; html: string; answers: string },
  run: PageRun,
  warn: (text: string) => void,
): Promise<void> {
  writeFileAtomic(`${places.answers}.jsonl`, answersJsonLines(made.trained));
  writeFileAtomic(`${places.answers}.md`, answersMarkdown("Answers of the trained pair", made.trained));
  writeFileAtomic(places.text, reportText(made.report));
  writeFileAtomic(places.json, `${JSON.stringify(made.report, null, 2)}\n`);
  // The plotting library takes a while to load, and whoever only trains or asks needs none.
  const { reportHtml } = await import("../../report/report-html.js");
  try {
    writeFileAtomic(places.html, reportHtml(reportPage(run, made)));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    warn(`the report's page was not written, its figures were: ${error.message}`);
  }
}

async function evidenceOf(name: RowName, parts: ReportParts, depth: number): Promise<Evidence> {
  const { questions, store, generator, config } = parts;
  const base = { name, meaning: ROW_MEANINGS[name], generator };
  switch (name) {
    case "closed-book":
      return { ...base, ...closedBookOf(parts), hits: [], isSearch: false };
    case "random-passage":
      return { ...base, hits: randomHits(questions, store, config.prompt.passages, config.seed), isSearch: false };
    case "gold-passage":
      return { ...base, ...gold(parts), isSearch: false };
    case "bm25":
      return { ...base, hits: bm25Hits(parts, depth), isSearch: true };
    case "trained-pair":
      return { ...base, hits: await searchHits(parts.artefacts, parts.encoder, questions, depth), isSearch: true };
    case "base-pair": {
      const encoder = Encoder.load(startFolders(parts.folder).retriever, {
        ...encoderOverrides(config.retriever),
        device: parts.artefacts.device,
      });
      try {
        const hits = await searchHits(parts.artefacts, encoder, questions, depth);
        // Its sentences are chosen by the retriever of this row too, which is gone when the others are scored.
        const filter = filterOf(parts, encoder);
        const shown = await shownHits(filter, questions, hits, config.prompt.passages, contexts(name, parts.report));
        return { ...base, hits, shown, isSearch: true };
      } finally {
        encoder.dispose();
      }
    }
  }
}

/** A bar of its own: the answers to the same row have another. */
function contexts(row: string, report: ReportParts["report"]): (done: number, total: number) => void {
  return (done, total) => report({ type: "progress", name: `sentences of ${row}`, done, total, detail: "questions" });
}

function filterOf({ config, generator, artefacts }: ReportParts, encoder: Encoder): SentenceFilter | undefined {
  return sentenceFilterOf(config.prompt, artefacts.template, twoEncoders(encoder, artefacts.passages), generator.tokenizer);
}

/** Gold passages; where questions have none, the row says for how many. */
function gold({ questions, store }: ReportParts): { hits: Hit[][]; meaning: string } {
  const hits = goldHits(questions, store);
  const without = hits.filter(({ length }) => length === 0).length;
  const meaning = ROW_MEANINGS["gold-passage"];
  return { hits, meaning: without === 0 ? meaning : `${meaning} (${without} questions have none and were asked without any)` };
}

/** The generator that was trained without contexts; without one, the trained generator with none, and the row says so. */
function closedBookOf({ closedBook, generator }: ReportParts): { generator: Generator; meaning: string } {
  if (closedBook === undefined)
    return { generator, meaning: "the trained generator, asked without any passage (eval.closed_book.steps is 0)" };
  return { generator: closedBook, meaning: ROW_MEANINGS["closed-book"] };
}

/** The generator that was trained without contexts: another model for the same words. */
export function ofClosedBook(model: Gpt2, { tokenizer, format, maxTokens }: Generator): Generator {
  return new Generator(model, tokenizer, format, maxTokens);
}

async function searchHits(artefacts: ArtefactParts, encoder: Encoder, questions: readonly Question[], depth: number): Promise<Hit[][]> {
  const { retriever }: { retriever: Retriever } = await currentRetriever(artefacts, encoder, "index");
  try {
    return await retriever.search(
      questions.map(({ question }) => question),
      depth,
    );
  } finally {
    retriever.index.dispose();
  }
}

function bm25Hits({ store, questions, artefacts }: ReportParts, depth: number): Hit[][] {
  const texts = Array.from({ length: store.size }, (_, row) => passageText(store.get(row), artefacts.template));
  const found = new Bm25(texts).search(
    questions.map(({ question }) => question),
    depth,
  );
  return found.map(({ scores, ids }) =>
    Array.from(ids, (row, i) => ({ row, rank: i + 1, score: scores[i] ?? NaN, passage: store.get(row) })),
  );
}
