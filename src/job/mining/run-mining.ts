/**
 * Mining as a run does it: what BM25 found, the teacher's scores and the chosen negatives are artefacts in `retrieval/`, named by all that decides them, so that they are made once for each index and found again
 * by a resumed run. The rules are choose-negatives.ts's. The trap: whatever changes the choice must be in the name, or a run would train on another one's negatives.
 */
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { PassageStore } from "../../corpus/passage-store.js";
import { hashJson } from "../../storage/content-hash.js";
import type { MinedNegatives, MinedQuestion } from "../../training/hard-negatives.js";
import type { MiningArtefacts } from "../../training/run-state.js";
import { openRetrieved, writeRetrieved, type RetrievedRows } from "../index/artefacts.js";
import type { JobMessage, Report } from "../reporter.js";
import { chooseBySearch, chooseByTeacher, miningDepth, rowsToJudge, type ChoiceParts, type MiningConfig } from "./choose-negatives.js";
import { lexicalArtefact } from "./lexical-rows.js";
import { teacherArtefact, teacherHash, type ScorePairs } from "./teacher.js";

export interface RunMiningParts {
  readonly settings: MiningConfig;
  readonly questions: readonly string[];
  /** Questions with the rows of their positives. */
  readonly mined: readonly MinedQuestion[];
  readonly store: Pick<PassageStore, "size" | "field" | "hash">;
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
  readonly template: string;
  /** Documents whose passages training never sees. */
  readonly heldOut: ReadonlySet<string>;
  /** What the index found, with the artefact's name; undefined before there is one. */
  readonly retrieved: { readonly name: string; readonly rows: RetrievedRows } | undefined;
  readonly retrievalFolder: string;
  readonly device: string;
  /** Default: this process alone. */
  readonly scorePairs?: ScorePairs | undefined;
  readonly report: Report;
}

export interface RunNegatives {
  /** Rows of each question's negatives, best first. */
  readonly rowsOf: (question: number) => readonly number[];
  readonly artefacts: MiningArtefacts;
}

/** The hard negatives of each question; undefined where there is nothing to ask yet. @throws UserError for a corpus that BM25 can't hold, or a folder that is no teacher */
export function runMining(parts: RunMiningParts): RunNegatives | undefined {
  const { settings, questions, mined, store, template, heldOut, retrievalFolder: folder } = parts;
  const retrieved = settings.source === "bm25" ? undefined : parts.retrieved;
  if (settings.source === "dense" && retrieved === undefined) return undefined;
  const goldRows = mined.map(({ goldRows: rows }) => rows);
  const k = miningDepth(settings, goldRows);
  const lexical = settings.source === "dense" ? undefined : lexicalArtefact({ ...parts, goldRows, k }, folder);
  const open = (name: string | undefined): RetrievedRows | undefined =>
    name === undefined ? undefined : openRetrieved(parts, name, questions.length);
  const { path: teacher, kind } = settings.teacher;
  const content = teacher === null ? undefined : teacherHash(teacher);
  const candidates = {
    dense: retrieved?.name,
    lexical,
    corpus: store.hash,
    template,
    heldOut: [...heldOut].sort(),
    questions,
    goldRows,
  };
  const choice: ChoiceParts = { settings, mined, textOf: parts.textOf, dense: retrieved?.rows, lexical: open(lexical) };
  const { from, to, ranks } = settings;
  const judged =
    teacher === null || content === undefined
      ? undefined
      : teacherArtefact(
          { questions, goldRows, candidates: () => rowsToJudge(choice), textOf: parts.textOf },
          { path: teacher, kind, device: parts.device, scorePairs: parts.scorePairs, content },
          { ...candidates, from, to, ranks },
          folder,
          parts.report,
        );
  const about = {
    ...candidates,
    settings: { ...settings, sampling: null, teacher: null },
    judged,
    answers: mined.map(({ answers }) => answers),
  };
  const name = hashJson({ mined: 1, ...about }).slice(0, 16);
  if (!existsSync(path.join(folder, name))) {
    const rows = open(judged);
    const chosen = rows === undefined ? chooseBySearch(choice) : chooseByTeacher(choice, rows);
    writeMined(path.join(folder, name), chosen);
    parts.report(minedMessage(chosen, questions.length));
  }
  const rows = openRetrieved(parts, name, questions.length);
  return {
    rowsOf: rows.rowsOf,
    artefacts: {
      ...(lexical === undefined ? {} : { lexical }),
      ...(judged === undefined ? {} : { teacher: judged }),
      mined: name,
    },
  };
}

/** Negatives as found rows: −1 and NaN behind a question's last, and `report.json` beside. */
function writeMined(folder: string, { rows, scores, report }: MinedNegatives): void {
  const k = rows.reduce((most, { length }) => Math.max(most, length), 1);
  const rows_QK = new Int32Array(rows.length * k).fill(-1);
  const scores_QK = new Float32Array(rows.length * k).fill(NaN);
  rows.forEach((list, question) => {
    rows_QK.set(list, question * k);
  });
  scores.forEach((list, question) => {
    scores_QK.set(list, question * k);
  });
  writeRetrieved(folder, { k, rows_QK, scores_QK }, (temporary) => {
    writeFileSync(path.join(temporary, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  });
}

/** Keys of `train.contrastive.mining` that loosen a rule; gold passages, their copies and what holds the answer are dropped whatever is set. */
const KEY_OF_RULE: Readonly<Record<string, string>> = {
  droppedNear: "near_positive",
  droppedAbsoluteMargin: "absolute_margin",
  droppedRelativeMargin: "relative_margin",
  droppedMaxScore: "max_score",
  droppedMinScore: "min_score",
};

/** A warning where nothing is left at all: the phase then learns from its batches alone, and its losses don't show it. */
function minedMessage({ report }: MinedNegatives, questions: number): JobMessage {
  const dropped = Object.entries<number>({ ...report })
    .filter(([key, count]) => key.startsWith("dropped") && count > 0)
    .sort(([, one], [, other]) => other - one);
  const rules = dropped.map(
    ([key, count]) =>
      `${key
        .slice("dropped".length)
        .replace(/(?!^)[A-Z]/g, " $&")
        .toLowerCase()} ${count}`,
  );
  const left = rules.length === 0 ? "" : `; dropped by rule: ${rules.join(", ")}`;
  const text = `hard negatives: ${report.kept} for ${questions} questions, ${report.questionsWithout} without any${left}`;
  if (report.kept > 0 || questions === 0) return { type: "note", text };
  const [most] = dropped.flatMap(([rule, count]) => (KEY_OF_RULE[rule] === undefined ? [] : [{ key: KEY_OF_RULE[rule], count }]));
  const remedy =
    most === undefined
      ? "widen train.contrastive.mining.from and to, or take another source"
      : `loosen train.contrastive.mining.${most.key}, which dropped ${most.count}`;
  return { type: "warning", text: `${text}; no question trains on a hard negative; ${remedy}` };
}
