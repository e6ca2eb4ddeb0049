/**
 * Recall@1 by how many of a question's words stand in its gold passage, for BM25, the retriever as it began and the trained one: `npx tsx tools/recall-by-overlap.ts <run>…`, the runs of one setting, one a seed. It reads what the runs wrote
 * and trains nothing. Why one retriever is behind another on a data set is seen here: questions that were written with the passage in view share its words.
 * The trap: the retriever as it began is the run's first validation, so the schedule must begin with a refresh and validate all questions (`train.validate.questions=null`).
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { runToExit } from "../src/cli/exit.js";
import { loadRunConfig } from "../src/config/load-config.js";
import { passageText } from "../src/corpus/passage.js";
import { PassageStore } from "../src/corpus/passage-store.js";
import { UserError } from "../src/errors.js";
import { Bm25, bm25Words } from "../src/retrieval/bm25.js";

const PARTS = 4;

interface Answered {
  readonly question: string;
  readonly gold: readonly string[];
  readonly passages: readonly { readonly id: string }[];
}

/** A question with what each system put first. */
interface Judged {
  /** Share of its words that stand in the gold passage that has most of them. */
  readonly overlap: number;
  readonly bm25: number;
  readonly base: number;
  readonly trained: number;
}

/** A row of the table. */
export interface OverlapPart extends Judged {
  /** The largest overlap of the part; `overlap` is the smallest. */
  readonly to: number;
  readonly questions: number;
}

/** Questions of all runs in quarters, least overlap first, and all of them. @throws UserError for a run without the validations that are compared */
export function recallByOverlap(runs: readonly string[]): OverlapPart[] {
  const judged = runs.flatMap(judgedOf).toSorted((a, b) => a.overlap - b.overlap);
  const parts = Array.from({ length: PARTS }, (_, i) =>
    judged.slice(Math.floor((judged.length * i) / PARTS), Math.floor((judged.length * (i + 1)) / PARTS)),
  );
  return [...parts, judged].map((part) => ({
    overlap: part[0]?.overlap ?? NaN,
    to: part.at(-1)?.overlap ?? NaN,
    questions: part.length,
    bm25: mean(part, "bm25"),
    base: mean(part, "base"),
    trained: mean(part, "trained"),
  }));
}

function mean(part: readonly Judged[], system: "bm25" | "base" | "trained"): number {
  return part.reduce((sum, own) => sum + own[system], 0) / part.length;
}

function judgedOf(run: string): Judged[] {
  const { config } = loadRunConfig(path.join(run, "config.yaml"));
  const store = PassageStore.open(path.join(run, "corpus"));
  const texts = Array.from({ length: store.size }, (_, row) => passageText(store.get(row), config.data.corpus.title_template));
  const wordsOf = texts.map((text) => new Set(bm25Words(text)));
  const first = readdirSync(path.join(run, "validation"))
    .filter((name) => /^step-\d+-refresh\.jsonl$/.test(name))
    .sort()[0];
  if (first === undefined)
    throw new UserError({
      where: run,
      what: "has no validation of the retriever as it began",
      remedy: "begin the schedule with a refresh",
    });
  const [base, trained] = [first, "final.jsonl"].map((name) => answersOf(path.join(run, "validation", name)));
  const isSame = trained?.length === base?.length && base?.every(({ question }, i) => trained?.[i]?.question === question) === true;
  if (base === undefined || trained === undefined || !isSame)
    throw new UserError({ where: run, what: "validated other questions than it was tested on", remedy: "train.validate.questions=null" });
  const found = new Bm25(texts).search(
    base.map(({ question }) => question),
    1,
  );
  return base.map(({ question, gold, passages }, i) => {
    const words = [...new Set(bm25Words(question))];
    const rows = gold.map((id) => store.rowOf(id)).filter((row) => row !== undefined);
    const shared = rows.map((row) => words.filter((word) => wordsOf[row]?.has(word) === true).length);
    return {
      overlap: Math.max(0, ...shared) / Math.max(1, words.length),
      bm25: Number(rows.includes(found[i]?.ids[0] ?? -1)),
      base: Number(gold.includes(passages[0]?.id ?? "")),
      trained: Number(gold.includes(trained[i]?.passages[0]?.id ?? "")),
    };
  });
}

function answersOf(file: string): Answered[] {
  return readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Answered);
}

/** A Markdown table. */
export function overlapTable(parts: readonly OverlapPart[]): string {
  const rows = parts.map(({ overlap, to, questions, bm25, base, trained }, i) => {
    const name = i === parts.length - 1 ? "all" : `${overlap.toFixed(2)} to ${to.toFixed(2)}`;
    return `| ${[name, String(questions), ...[bm25, base, trained].map((value) => value.toFixed(3))].join(" | ")} |`;
  });
  return ["| words in the gold passage | questions | bm25 | base | trained |", "| --- | --- | --- | --- | --- |", ...rows, ""].join("\n");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runToExit(
    () => "recall-by-overlap",
    () => {
      const runs = process.argv.slice(2);
      if (runs.length === 0) throw new UserError({ where: "recall-by-overlap", what: "was given no run", remedy: "name run directories" });
      process.stdout.write(overlapTable(recallByOverlap(runs)));
      return Promise.resolve();
    },
  );
}
