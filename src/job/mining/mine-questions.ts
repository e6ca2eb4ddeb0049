/**
 * Mining without a run's training: hard negatives for the questions of a file, by a retriever with its index, by BM25, or both, under the rules of `train.contrastive.mining`, written for any trainer. The rules are
 * those of training; the trap is that training draws from all of a question's negatives anew in each batch, while a file has a fixed number of them.
 */
import type { TandemConfig } from "../../config/schema.js";
import { passageText } from "../../corpus/passage.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { Question } from "../../corpus/questions.js";
import { UserError } from "../../errors.js";
import { searchAllowed } from "../../retrieval/allowed-search.js";
import type { Metric } from "../../retrieval/index-contract.js";
import { shuffled } from "../../training/counter-random.js";
import { choosePositives, type MinedNegatives, type MinedQuestion } from "../../training/hard-negatives.js";
import { retrievedOf } from "../index/artefacts.js";
import type { OpenSearch } from "../index/open-search.js";
import type { Report } from "../reporter.js";
import { chooseBySearch, chooseByTeacher, miningDepth, rowsToJudge, type ChoiceParts } from "./choose-negatives.js";
import { lexicalRows } from "./lexical-rows.js";
import { writeMinedFile, type MinedFormat, type MinedRow } from "./mined-file.js";
import { lowestPositives } from "./positive-scores.js";
import { summary, type Summary } from "./score-summary.js";
import { judge, type ScorePairs } from "./teacher.js";

export interface MineOptions {
  readonly config: Pick<TandemConfig, "seed"> & { readonly train: Pick<TandemConfig["train"], "contrastive"> };
  readonly store: PassageStore;
  readonly questions: readonly Question[];
  /** Documents whose passages are never negatives. */
  readonly heldOut: ReadonlySet<string>;
  /** Asked unless BM25 alone is. */
  readonly search: Pick<OpenSearch, "encoder" | "retriever"> | undefined;
  readonly metric: Metric;
  /** How title and text are joined. */
  readonly template: string;
  readonly device: string;
  readonly output: string;
  readonly format: MinedFormat;
  /** By which a teacher scores pairs. Default: this process alone. */
  readonly scorePairs?: ScorePairs | undefined;
  readonly report: Report;
}

export interface MineReport {
  readonly questions: number;
  /** Questions without a passage that answers them: they aren't in the file. */
  readonly withoutPositives: number;
  /** Questions that lost all negatives: they aren't in the file. */
  readonly withoutNegatives: number;
  /** Questions with some, but fewer negatives than wanted: in the file, but not as tuples. */
  readonly withFewer: number;
  /** Lines of the file, or questions of DPR's. */
  readonly written: number;
  /** Candidates that each rule dropped. */
  readonly rules: Readonly<Record<string, number>>;
  /** Null where scores of two scales would be mixed. */
  readonly scores: Readonly<Record<"positive" | "negative" | "difference", Summary>> | null;
}

/** Mines and writes. @throws UserError when no question keeps a negative, or something can't be opened or written; nothing is written then */
export async function mineQuestions(options: MineOptions): Promise<MineReport> {
  const { config, store, questions, format, output } = options;
  const { hard_negatives: wanted } = config.train.contrastive;
  const textOf = (row: number): string => passageText(store.get(row), options.template);
  const choice = await candidatesOf(options, textOf);
  const { chosen, positiveOf } = choose(options, choice, textOf);
  const rows = questions.map((question, i): MinedRow => ({
    question,
    positives: choice.mined[i]?.goldRows ?? [],
    negatives: sampled(chosen, i, wanted, config.seed, config.train.contrastive.mining.sampling),
  }));
  const answered = rows.filter(({ positives }) => positives.length > 0);
  const kept = answered.filter(({ negatives }) => negatives.length > 0);
  if (kept.length === 0)
    throw new UserError({
      where: "mining",
      what: answered.length === 0 ? "no question has a passage that answers it" : "no question keeps a negative",
      expected: answered.length === 0 ? "passage_ids of this corpus" : "passages that the rules let pass",
      got: `${questions.length} questions`,
      remedy:
        answered.length === 0
          ? "set train.contrastive.positives=answer"
          : "widen train.contrastive.mining.to, or loosen its margins and bounds",
    });
  const written = writeMinedFile(output, kept, { format, negatives: wanted, store, textOf });
  const { report } = chosen;
  return {
    questions: questions.length,
    withoutPositives: questions.length - answered.length,
    withoutNegatives: answered.length - kept.length,
    withFewer: kept.filter(({ negatives }) => negatives.length < wanted).length,
    written,
    rules: Object.fromEntries(Object.entries(report).filter(([key]) => key.startsWith("dropped"))),
    scores: positiveOf === undefined ? null : scoresOf(rows, positiveOf),
  };
}

/** What the searches find, and each question's positives. */
async function candidatesOf(options: MineOptions, textOf: (row: number) => string): Promise<ChoiceParts> {
  const { config, store, questions, heldOut, search, metric } = options;
  const { mining: settings, positives: kind } = config.train.contrastive;
  const gold = questions.map(({ passageIds }) => passageIds.map((id) => store.rowOf(id)).filter((row) => row !== undefined));
  const texts = questions.map(({ question }) => question);
  const k = Math.min(store.size, miningDepth(settings, gold));
  const found =
    settings.source === "bm25" || search === undefined
      ? undefined
      : await searchAllowed(search.retriever, texts, k, (row) => !heldOut.has(store.field(row, "document")));
  const lexical = settings.source === "dense" ? undefined : lexicalRows({ questions: texts, goldRows: gold, store, textOf, heldOut, k });
  const searched = found ?? lexical;
  const first = searched === undefined ? undefined : retrievedOf(searched);
  const mined = questions.map(({ answers }, i): MinedQuestion => {
    const own = { goldRows: gold[i] ?? [], answers };
    return { goldRows: choosePositives(own, first?.rowsOf(i) ?? [], textOf, kind === "answer"), answers };
  });
  const positives =
    found === undefined || search === undefined || metric === "l2"
      ? undefined
      : lowestPositives(
          { encoder: search.encoder, metric, questions: texts, goldRows: mined.map(({ goldRows }) => goldRows), textOf },
          found,
        );
  return {
    settings,
    mined,
    textOf,
    dense: found === undefined ? undefined : retrievedOf({ ...found, positives }),
    lexical: lexical === undefined ? undefined : retrievedOf(lexical),
  };
}

/** The negatives, and each question's lowest positive score on the same scale as theirs. */
function choose(
  { questions, device, scorePairs, report }: MineOptions,
  choice: ChoiceParts,
  textOf: (row: number) => string,
): { chosen: MinedNegatives; positiveOf: ((question: number) => number) | undefined } {
  const { path: teacher, kind } = choice.settings.teacher;
  if (teacher !== null) {
    const judged = retrievedOf(
      judge(
        {
          questions: questions.map(({ question }) => question),
          goldRows: choice.mined.map(({ goldRows }) => goldRows),
          candidates: () => rowsToJudge(choice),
          textOf,
        },
        { path: teacher, kind, device, scorePairs },
        report,
      ),
    );
    return { chosen: chooseByTeacher(choice, judged), positiveOf: judged.positiveOf };
  }
  const { dense, lexical } = choice;
  const chosen = chooseBySearch({ ...choice, wantsScores: true });
  return { chosen, positiveOf: dense === undefined || lexical === undefined ? (dense ?? lexical)?.positiveOf : undefined };
}

/** As many as are wanted, in their order; other ones for another seed where they are drawn. */
function sampled(
  { rows, scores }: MinedNegatives,
  question: number,
  wanted: number,
  seed: number,
  sampling: "random" | "top",
): MinedRow["negatives"] {
  const all = Array.from(rows[question] ?? [], (row, rank) => ({ row, rank, score: scores[question]?.[rank] ?? NaN }));
  const drawn = sampling === "top" ? all : shuffled(all, [seed, question, 0x6d696e]);
  return drawn.slice(0, wanted).sort((a, b) => a.rank - b.rank);
}

function scoresOf(rows: readonly MinedRow[], positiveOf: (question: number) => number): NonNullable<MineReport["scores"]> {
  const positives = rows.map((_, question) => positiveOf(question));
  const pairs = rows.flatMap(({ negatives }, question) => negatives.map(({ score }) => ({ score, positive: positives[question] ?? NaN })));
  return {
    positive: summary(positives),
    negative: summary(pairs.map(({ score }) => score)),
    difference: summary(pairs.map(({ score, positive }) => positive - score)),
  };
}
