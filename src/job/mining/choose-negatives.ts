/**
 * From what was found for each question to its hard negatives, as the config's rules have it: the index's candidates, BM25's, or both, judged by their own scores or by a teacher's. It neither searches nor
 * scores. The traps: margins by the index's scores need an artefact that has them; and a teacher's order replaces the search's.
 */
import type { TandemConfig } from "../../config/schema.js";
import { readsScores } from "../../config/check-mining.js";
import { UserError } from "../../errors.js";
import {
  mineHardNegatives,
  type Candidates,
  type MinedNegatives,
  type MinedQuestion,
  type MiningRules,
} from "../../training/hard-negatives.js";
import type { RetrievedRows } from "../index/artefacts.js";

export type MiningConfig = TandemConfig["train"]["contrastive"]["mining"];

export interface ChoiceParts {
  readonly settings: MiningConfig;
  /** Questions with the rows of their positives. */
  readonly mined: readonly MinedQuestion[];
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  /** What the index found; undefined before there is one, or where it isn't asked. */
  readonly dense: RetrievedRows | undefined;
  /** What BM25 found; undefined where it isn't asked. */
  readonly lexical: RetrievedRows | undefined;
  /** Whether scores are wanted where no rule reads them. */
  readonly wantsScores?: boolean;
}

/** Results of a search that mining needs for a question: with `ranks: kept` as many more as a question has positives, which are dropped. */
export function miningDepth({ ranks, to }: Pick<MiningConfig, "ranks" | "to">, goldRows: readonly (readonly number[])[]): number {
  return ranks === "found" ? to : to + goldRows.reduce((most, { length }) => Math.max(most, length), 0);
}

/** Whether margins compare with scores of the retriever's own for positives that its search may have missed. */
export function comparesPositives({ absolute_margin: absolute, relative_margin: relative, source, teacher }: MiningConfig): boolean {
  return (absolute !== null || relative !== null) && source !== "bm25" && teacher.path === null;
}

/** The negatives without a teacher: those of the index before BM25's. @throws UserError for an artefact without scores where rules read them */
export function chooseBySearch({ settings, mined, textOf, dense, lexical, wantsScores = false }: ChoiceParts): MinedNegatives {
  const rules = rulesOf(settings);
  const depth = depthOf(settings, mined);
  const lists = [dense, lexical].flatMap((found) => {
    if (found === undefined) return [];
    const candidates = (question: number): Candidates => candidatesOf(found, wantsScores || readsScores(settings), mined, question, depth);
    return [mineHardNegatives(mined, candidates, textOf, rules)];
  });
  const [first, second] = lists;
  if (first === undefined) throw new Error("mining: no search was made");
  return second === undefined ? first : together(first, second);
}

/** Rows that a teacher is to judge: of each search those in its window, none twice. */
export function rowsToJudge({ settings, mined, dense, lexical }: Omit<ChoiceParts, "textOf">): number[][] {
  const from = settings.ranks === "kept" ? 0 : settings.from - 1;
  const to = depthOf(settings, mined);
  return mined.map((_, question) => {
    const rows = [dense, lexical].flatMap((found) => found?.rowsOf(question).slice(from, to) ?? []);
    return [...new Set(rows)];
  });
}

/** The negatives by a teacher's scores, best first. @param judged the rows of {@link rowsToJudge} with their scores */
export function chooseByTeacher(
  { settings, mined, textOf }: Pick<ChoiceParts, "settings" | "mined" | "textOf">,
  judged: RetrievedRows,
): MinedNegatives {
  const rules = rulesOf(settings);
  // Ranks of a search were looked at when it was said what to judge.
  const looked = settings.ranks === "kept" ? rules : { ...rules, from: 1, to: Number.MAX_SAFE_INTEGER };
  const found = (question: number): Candidates => {
    const scores = judged.scoresOf?.(question) ?? [];
    const sorted = judged
      .rowsOf(question)
      .map((row, place) => ({ row, score: scores[place] ?? NaN }))
      .sort((a, b) => b.score - a.score);
    return { rows: sorted.map(({ row }) => row), scores: sorted.map(({ score }) => score), positive: judged.positiveOf?.(question) };
  };
  return mineHardNegatives(mined, found, textOf, looked);
}

function rulesOf(settings: MiningConfig): MiningRules {
  const { from, to, ranks } = settings;
  return {
    from,
    to,
    ranks,
    absoluteMargin: settings.absolute_margin ?? undefined,
    relativeMargin: settings.relative_margin ?? undefined,
    maxScore: settings.max_score ?? undefined,
    minScore: settings.min_score ?? undefined,
    nearPositive: settings.near_positive ?? undefined,
  };
}

function depthOf(settings: MiningConfig, mined: readonly MinedQuestion[]): number {
  return miningDepth(
    settings,
    mined.map(({ goldRows }) => goldRows),
  );
}

function candidatesOf(
  found: RetrievedRows,
  isScored: boolean,
  mined: readonly MinedQuestion[],
  question: number,
  depth: number,
): Candidates {
  const rows = found.rowsOf(question).slice(0, depth);
  if (!isScored) return { rows };
  const scores = found.scoresOf?.(question);
  if (scores === undefined)
    throw new UserError({
      where: "train.contrastive.mining",
      what: "rules that read scores meet search results that were kept without them, by an earlier version",
      remedy: "start a new run",
    });
  return { rows, scores, positive: positiveScore(found, scores, mined[question]?.goldRows ?? [], question) };
}

/** The lowest score of the positives: as it was measured, or that of a positive that the search itself named. */
function positiveScore(found: RetrievedRows, scores: readonly number[], positives: readonly number[], question: number): number {
  const measured = found.positiveOf?.(question) ?? NaN;
  if (!Number.isNaN(measured)) return measured;
  const rows = found.rowsOf(question);
  const own = positives.map((row) => rows.indexOf(row)).filter((rank) => rank >= 0);
  return own.length === 0 ? NaN : Math.min(...own.map((rank) => scores[rank] ?? NaN));
}

/** Those of the first search, then what the second adds. */
function together(first: MinedNegatives, second: MinedNegatives): MinedNegatives {
  const lists = first.rows.map((rows, question) => {
    const known = new Set(rows);
    const more = Array.from(second.rows[question] ?? [], (row, place) => ({ row, score: second.scores[question]?.[place] ?? NaN }));
    const added = more.filter(({ row }) => !known.has(row));
    return {
      rows: Int32Array.from([...rows, ...added.map(({ row }) => row)]),
      scores: Float32Array.from([...(first.scores[question] ?? []), ...added.map(({ score }) => score)]),
    };
  });
  const rules = Object.keys(first.report) as (keyof MinedNegatives["report"])[];
  const counts = rules.map((rule) => [rule, first.report[rule] + second.report[rule]] as const);
  return {
    rows: lists.map(({ rows }) => rows),
    scores: lists.map(({ scores }) => scores),
    report: {
      ...(Object.fromEntries(counts) as unknown as MinedNegatives["report"]),
      kept: lists.reduce((sum, { rows }) => sum + rows.length, 0),
      questionsWithout: lists.filter(({ rows }) => rows.length === 0).length,
    },
  };
}
