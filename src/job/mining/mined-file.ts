/**
 * Mined negatives as a file that other trainers read: sentence-transformers' columns (`anchor`, `positive`, `negative` or `negative_1` …) as JSON lines or tab-separated, or DPR's JSON
 * (`positive_ctxs`, `hard_negative_ctxs`: Karpukhin et al. 2020, arXiv 2004.04906, its repository's training files). It only writes, at once or not at all. The traps: a tab-separated line can't hold the line
 * breaks of a passage, so they become spaces there; and tuples have one length, so a question with fewer negatives isn't in them.
 */
import type { PassageStore } from "../../corpus/passage-store.js";
import type { Question } from "../../corpus/question.js";
import { UserError } from "../../errors.js";
import { AtomicFile } from "../../storage/atomic-file.js";

export type MinedFormat = "triplet" | "n-tuple" | "dpr";

/** A question with what it is trained on. */
export interface MinedRow {
  readonly question: Question;
  readonly positives: readonly number[];
  /** Best first. */
  readonly negatives: readonly { readonly row: number; readonly score: number }[];
}

export interface MinedFileOptions {
  readonly format: MinedFormat;
  /** Negatives of a tuple. */
  readonly negatives: number;
  readonly store: Pick<PassageStore, "get">;
  /** A passage's title and text as embedded. */
  readonly textOf: (row: number) => string;
}

/** Whether a file's name asks for tab-separated lines. @throws UserError for a name that promises what isn't written: another ending, or lines where DPR's JSON is one list */
export function isTabSeparated(file: string, format: MinedFormat): boolean {
  const [, ending] = /\.(jsonl|tsv|json)$/i.exec(file) ?? [];
  const isTsv = ending?.toLowerCase() === "tsv";
  if (format === "dpr" && ending?.toLowerCase() !== "json")
    throw new UserError({
      where: file,
      what: "DPR's format is JSON",
      expected: "a name that ends in .json",
      remedy: "change --output or --format",
    });
  if (ending === undefined || (format !== "dpr" && ending.toLowerCase() === "json"))
    throw new UserError({
      where: file,
      what: "the name isn't that of the lines that are written",
      expected: ".jsonl, .tsv or, for --format dpr, .json",
      remedy: "change --output",
    });
  return isTsv;
}

/** Writes the rows and says how many lines, tuples or questions they made. @throws UserError when the file can't be written */
export function writeMinedFile(target: string, rows: readonly MinedRow[], options: MinedFileOptions): number {
  const isTsv = isTabSeparated(target, options.format);
  const file = new AtomicFile(target);
  let count = 0;
  try {
    if (isTsv) file.write(`${columnsOf(options).join("\t")}\n`);
    if (options.format === "dpr") file.write("[");
    for (const row of rows) {
      for (const record of recordsOf(row, options)) {
        file.write(options.format === "dpr" ? `${count === 0 ? "\n" : ",\n"}${JSON.stringify(record)}` : lineOf(record, isTsv));
        count++;
      }
    }
    if (options.format === "dpr") file.write("\n]\n");
    file.commit();
  } finally {
    file.abort();
  }
  return count;
}

function lineOf(record: object, isTsv: boolean): string {
  if (!isTsv) return `${JSON.stringify(record)}\n`;
  const cells = (Object.values(record) as string[]).map((text) => text.replace(/[\t\r\n\u2028\u2029]+/g, " "));
  return `${cells.join("\t")}\n`;
}

function columnsOf({ format, negatives }: MinedFileOptions): string[] {
  const names = format === "triplet" ? ["negative"] : Array.from({ length: negatives }, (_, i) => `negative_${i + 1}`);
  return ["anchor", "positive", ...names];
}

function recordsOf({ question, positives, negatives }: MinedRow, options: MinedFileOptions): object[] {
  const { format, textOf, store } = options;
  if (format === "dpr") {
    const context = (row: number, score: number): object => {
      const { id, title, text } = store.get(row);
      return { title, text, ...(Number.isNaN(score) ? {} : { score }), passage_id: id };
    };
    return [
      {
        question: question.question,
        answers: question.answers,
        positive_ctxs: positives.map((row) => context(row, NaN)),
        negative_ctxs: [],
        hard_negative_ctxs: negatives.map(({ row, score }) => context(row, score)),
      },
    ];
  }
  const texts = negatives.map(({ row }) => textOf(row));
  const anchored = positives.map((row) => ({ anchor: question.question, positive: textOf(row) }));
  if (format === "triplet") return anchored.flatMap((both) => texts.map((negative) => ({ ...both, negative })));
  if (texts.length < options.negatives) return [];
  return anchored.map((both) => ({ ...both, ...Object.fromEntries(texts.map((text, i) => [`negative_${i + 1}`, text])) }));
}
