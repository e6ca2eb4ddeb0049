/**
 * A teacher: another encoder, or a cross-encoder, whose scores say how alike a question and a passage are. It judges what was found and finds nothing. The traps: its folder lies outside the run, so its content
 * is part of the name of whatever it judged; and a cross-encoder reads every pair anew, thousands of times slower than an encoder looks one up.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { UserError } from "../../errors.js";
import { CrossEncoder } from "../../retrieval/cross-encoder.js";
import { Encoder } from "../../retrieval/encoder.js";
import { encoderScorer, type Pair } from "../../retrieval/pair-scores.js";
import { hashFile, hashJson } from "../../storage/content-hash.js";
import { aboutFile } from "../../storage/file-fault.js";
import { writeRetrieved, type FoundRows } from "../index/artefacts.js";
import type { Report } from "../reporter.js";
import { numbered } from "./positive-scores.js";

type TeacherKind = TandemConfig["train"]["contrastive"]["mining"]["teacher"]["kind"];

export interface TeacherSettings {
  readonly path: string;
  readonly kind: TeacherKind;
  readonly device: string;
  /** {@link teacherHash}, where it is known. */
  readonly content?: string | undefined;
  /** Scores the pairs. Default: this process alone. */
  readonly scorePairs?: ScorePairs | undefined;
}

/** What a teacher is to score: plain data. */
export interface JudgeOrder {
  readonly path: string;
  readonly kind: TeacherKind;
  /** {@link teacherHash}, where it is known. */
  readonly content?: string | undefined;
  readonly questions: readonly string[];
  readonly passages: readonly string[];
  readonly pairs: readonly Pair[];
}

/** Scores pairs in their order. @param progress told now and then how many have their score */
export type ScorePairs = (order: JudgeOrder, device: string, progress?: (pairs: number) => void) => Float32Array;

/** What a teacher judges. */
export interface JudgedRows {
  readonly questions: readonly string[];
  /** Rows of each question's positives. */
  readonly goldRows: readonly (readonly number[])[];
  /** Gives the rows of each question's candidates, none twice. */
  readonly candidates: () => readonly (readonly number[])[];
  readonly textOf: (row: number) => string;
}

/** SHA-256 of what a model folder says: its configuration, tokenizer and weights, by the files' names. @throws UserError if there is no such folder */
export function teacherHash(folder: string): string {
  if (!existsSync(folder))
    throw new UserError({ where: "train.contrastive.mining.teacher.path", what: `there is no folder ${folder}`, remedy: "check the path" });
  const files = aboutFile(folder, () => readdirSync(folder, { recursive: true, encoding: "utf8" }))
    .filter((name) => /\.(json|txt|safetensors)$/.test(name) && !/(^|[/\\])\./.test(name))
    .filter((name) => statSync(path.join(folder, name)).isFile())
    .sort();
  return hashJson(files.map((name) => [name.replaceAll("\\", "/"), hashFile(path.join(folder, name))]));
}

/**
 * Judges unless the artefact is in `folder` already, and says its name.
 *
 * @param about all that decides what is judged
 * @throws UserError for a folder that is no such model
 */
export function teacherArtefact(
  judged: JudgedRows,
  { content, ...teacher }: TeacherSettings & { readonly content: string },
  about: object,
  folder: string,
  report: Report,
): string {
  const name = hashJson({ teacher: content, kind: teacher.kind, ...about }).slice(0, 16);
  const target = path.join(folder, name);
  if (!existsSync(target)) writeRetrieved(target, judge(judged, { ...teacher, content }, report));
  return name;
}

/** The teacher's score of each candidate, and the lowest of each question's positives. @throws UserError for a folder that is no such model */
export function judge(
  { questions, goldRows, candidates: rowsToJudge, textOf }: JudgedRows,
  { path: folder, kind, device, content, scorePairs: score = scorePairs }: TeacherSettings,
  report: Report,
): Required<FoundRows> {
  const candidates = rowsToJudge();
  const pairs = candidates.flatMap((rows, question): Pair[] =>
    [...rows, ...(goldRows[question] ?? [])].map((row) => ({ question, passage: row })),
  );
  const places = numbered(pairs.map(({ passage }) => passage));
  const placed = pairs.map(({ question, passage }) => ({ question, passage: places.get(passage) ?? 0 }));
  const order = { path: folder, kind, content, questions, passages: [...places.keys()].map(textOf), pairs: placed };
  const scores = score(order, device, (done) => {
    report({ type: "progress", name: "teacher", done, total: pairs.length, detail: "pairs" });
  });
  const k = candidates.reduce((most, { length }) => Math.max(most, length), 1);
  const rows_QK = new Int32Array(candidates.length * k).fill(-1);
  const scores_QK = new Float32Array(candidates.length * k);
  const positives = new Float32Array(candidates.length).fill(NaN);
  let next = 0;
  candidates.forEach((rows, question) => {
    rows_QK.set(rows, question * k);
    scores_QK.set(scores.subarray(next, next + rows.length), question * k);
    next += rows.length;
    const gold = goldRows[question]?.length ?? 0;
    if (gold > 0) positives[question] = Math.min(...scores.subarray(next, next + gold));
    next += gold;
  });
  return { k, rows_QK, scores_QK, positives };
}

/**
 * Scores pairs in this process.
 *
 * @param isOwn says which of a cross-encoder's batches are scored; the pairs of the others have 0. Default: all
 * @throws UserError for a folder that is no such model
 */
export function scorePairs(
  { path: folder, kind, questions, passages, pairs }: JudgeOrder,
  device: string,
  progress?: (pairs: number) => void,
  isOwn?: (batch: number) => boolean,
): Float32Array {
  if (kind === "cross-encoder") {
    const teacher = CrossEncoder.load(folder, { device });
    try {
      return teacher.score(questions, passages, pairs, progress, isOwn);
    } finally {
      teacher.dispose();
    }
  }
  const encoder = Encoder.load(folder, { device, dropout: 0 });
  try {
    return encoderScorer(encoder, "cosine").score(questions, passages, pairs, progress);
  } finally {
    encoder.dispose();
  }
}
