/**
 * Question sets name gold passages by the ids of the file they were made with; the store has ids of its own. This maps one to the other by title and shared
 * text. It doesn't guess gold where none was named. The trap: a gold passage may lie across two of our chunks, and only one of them holds the answer;
 * that one is gold, the other would teach the retriever nothing. Where chunks overlap both may hold it, and then both are gold.
 */
import { UserError } from "../errors.js";
import { hasAnswer } from "../text/token-match.js";
import { jsonlFiles, parseJsonlRecord } from "./jsonl-reader.js";
import type { JsonlRecord } from "./jsonl-reader.js";
import type { PassageStore } from "./passage-store.js";
import type { Question } from "./question.js";
import type { GoldPassage } from "./question-set.js";
import { readSourceLines } from "./source-lines.js";

export interface AlignmentReport {
  questions: number;
  /** Questions that named at least one gold passage. */
  withGold: number;
  /** Questions that have at least one passage of the store now. */
  mapped: number;
  /** Of these, those whose passage holds an answer by DPR's token match. */
  withAnswer: number;
  /** Gold passages used, and how many of them stand in the store word for word as one passage. */
  goldPassages: number;
  identical: number;
  /** Every gold id that found no passage. */
  unmapped: { question: string; passageId: string; reason: string }[];
}

/** Reads `{id, title, text}` lines by id, of a file or of a folder of them. @throws UserError for a bad line or an id that comes twice. */
export async function readGoldPassages(root: string): Promise<Map<string, JsonlRecord>> {
  const passages = new Map<string, JsonlRecord>();
  for (const file of jsonlFiles(root).files) {
    for await (const { line, number } of readSourceLines(file)) {
      if (line.trim() === "") continue;
      const where = `${file}:${number}`;
      const record = parseJsonlRecord(line, where);
      if (passages.has(record.sourceId)) {
        throw new UserError({ where, what: `passage id ${JSON.stringify(record.sourceId)} comes twice`, expected: "each id once" });
      }
      passages.set(record.sourceId, record);
    }
  }
  return passages;
}

/**
 * The questions with passage ids of the store, and the document of their passage where they had none: the store's, or where no passage was found that of the store's article of that title, or the
 * gold passage's own. Ids that are the store's already stay. A gold id becomes the chunks of the same title that share text with it and hold an answer, at its very place where that is known; if none
 * holds one, the chunk that shares most.
 */
export function alignGold(
  questions: readonly Question[],
  gold: ReadonlyMap<string, GoldPassage>,
  store: PassageStore,
): { questions: Question[]; report: AlignmentReport } {
  const used = new Set(questions.flatMap(({ passageIds }) => passageIds).filter((id) => gold.has(id)));
  // What stands in the store under the same id needs no search.
  const foreign = new Set([...used].filter((id) => store.rowOf(id) === undefined));
  const found = overlapsOf(foreign, gold, store);
  const report: AlignmentReport = {
    questions: questions.length,
    withGold: 0,
    mapped: 0,
    withAnswer: 0,
    goldPassages: used.size,
    identical: used.size - foreign.size + [...found.values()].filter(({ overlaps }) => overlaps.some(({ identical }) => identical)).length,
    unmapped: [],
  };
  const aligned = questions.map((question) => {
    const rows = new Set(question.passageIds.flatMap((id) => rowsOf(id, question, found, gold, store, report)));
    const passages = [...rows].sort((a, b) => a - b).map((row) => store.get(row));
    report.withGold += question.passageIds.length > 0 ? 1 : 0;
    report.mapped += passages.length > 0 ? 1 : 0;
    report.withAnswer += passages.some(({ text }) => hasAnswer(text, question.answers)) ? 1 : 0;
    const own = question.passageIds.map((id) => found.get(id)?.document).find((name) => name !== undefined);
    const document = question.document ?? passages[0]?.document ?? own;
    const rest = { ...question };
    delete rest.answerPlaces;
    return { ...rest, passageIds: passages.map(({ id }) => id), ...(document === undefined ? {} : { document }) };
  });
  return { questions: aligned, report };
}

interface Overlap {
  row: number;
  text: string;
  /** The text with single spaces. */
  folded: string;
  /** Share of the gold passage's words in this chunk. */
  share: number;
  identical: boolean;
}

interface GoldOverlaps {
  /** Its title's in the store, else its own. */
  document: string | undefined;
  /** The gold passage with single spaces. */
  folded: string;
  overlaps: Overlap[];
}

function rowsOf(
  id: string,
  question: Question,
  all: ReadonlyMap<string, GoldOverlaps>,
  gold: ReadonlyMap<string, GoldPassage>,
  store: PassageStore,
  report: AlignmentReport,
): number[] {
  const own = store.rowOf(id);
  if (own !== undefined) return [own];
  const found = all.get(id)?.overlaps ?? [];
  const there = found.length < 2 ? [] : holdingPlaces(found, question, id, gold.get(id), all.get(id)?.folded ?? "");
  const holding = there.length > 0 ? there : found.filter(({ text }) => hasAnswer(text, question.answers));
  if (holding.length > 0) return holding.map(({ row }) => row);
  const best = found.reduce<Overlap | undefined>((most, next) => (most === undefined || next.share > most.share ? next : most), undefined);
  if (best !== undefined) return [best.row];
  const reason = gold.has(id) ? "no passage of that title shares text with it" : "no such id among the gold passages";
  report.unmapped.push({ question: question.id, passageId: id, reason });
  return [];
}

/** Characters to both sides of an answer that tell its place in the passage from others where the same words stand. */
const REACHES = [0, 8, 16, 32, 64, 128];

/** The chunks that hold an answer where the file says that it stands; none where the file doesn't say. */
function holdingPlaces(
  found: readonly Overlap[],
  question: Question,
  id: string,
  gold: GoldPassage | undefined,
  folded: string,
): Overlap[] {
  const places = (question.answerPlaces ?? []).filter(({ passageId }) => passageId === id);
  if (gold === undefined || places.length === 0) return [];
  const evidence = places.map(({ start, end }) => {
    const around = REACHES.map((reach) => foldSpace(gold.text.slice(Math.max(0, start - reach), end + reach)));
    return around.find((text) => folded.indexOf(text) === folded.lastIndexOf(text)) ?? around.at(-1) ?? "";
  });
  return found.filter(({ folded: chunk }) => evidence.some((text) => chunk.includes(text)));
}

/** For each gold id the chunks of its title that share text with it. One pass over the store's titles. */
function overlapsOf(used: ReadonlySet<string>, gold: ReadonlyMap<string, GoldPassage>, store: PassageStore): Map<string, GoldOverlaps> {
  const wanted = new Map<string, number[]>();
  for (const id of used) wanted.set(titleKey(gold.get(id)?.title ?? ""), []);
  for (let row = 0; row < store.size; row++) wanted.get(titleKey(store.field(row, "title")))?.push(row);
  const chunks = new Map<number, { text: string; words: Shingles }>();
  const chunkOf = (row: number): { text: string; words: Shingles } => {
    let chunk = chunks.get(row);
    if (chunk === undefined) {
      const text = store.field(row, "text");
      chunk = { text, words: shingles(text) };
      chunks.set(row, chunk);
    }
    return chunk;
  };
  const all = new Map<string, GoldOverlaps>();
  for (const id of used) {
    const passage = gold.get(id);
    if (passage === undefined) continue;
    const words = shingles(passage.text);
    const rows = wanted.get(titleKey(passage.title)) ?? [];
    const found = rows.flatMap((row): Overlap[] => {
      const chunk = chunkOf(row);
      const share = sharedText(words, chunk.words);
      return share === 0
        ? []
        : [{ row, text: chunk.text, folded: chunk.words.folded, share, identical: words.folded === chunk.words.folded }];
    });
    const document = rows[0] === undefined ? passage.document : store.field(rows[0], "document");
    all.set(id, { document, folded: words.folded, overlaps: found });
  }
  return all;
}

/** Runs of this many words tell a shared passage from a shared phrase. */
const SHINGLE_WORDS = 5;

/** A chunk may hold only the last or first words of a gold passage; fewer than this are chance. */
const BORDER_WORDS = 3;

interface Shingles {
  /** The text with single spaces. */
  folded: string;
  words: string[];
  runs: Set<string>;
}

function shingles(text: string): Shingles {
  const words = text.split(/\s+/).filter((word) => word !== "");
  const runs = new Set<string>();
  for (let i = 0; i + SHINGLE_WORDS <= words.length; i++) runs.add(words.slice(i, i + SHINGLE_WORDS).join(" "));
  return { folded: words.join(" "), words, runs };
}

/** Share of the gold passage in the chunk, 0 to 1. Less than three runs of words, or a tenth of the shorter text, is chance and counts as 0. */
function sharedText(gold: Shingles, chunk: Shingles): number {
  if (chunk.folded.includes(gold.folded)) return 1;
  if (gold.folded.includes(chunk.folded)) return chunk.folded.length / gold.folded.length;
  let common = 0;
  for (const run of chunk.runs) if (gold.runs.has(run)) common += 1;
  const smaller = Math.min(gold.runs.size, chunk.runs.size);
  if (common >= Math.max(3, smaller / 10)) return common / gold.runs.size;
  return Math.max(borderWords(chunk.words, gold.words), borderWords(gold.words, chunk.words)) / Math.max(1, gold.words.length);
}

/** How many words at the end of `before` are those that `after` begins with; 0 for less than {@link BORDER_WORDS}. */
function borderWords(before: readonly string[], after: readonly string[]): number {
  for (let count = Math.min(before.length, after.length); count >= BORDER_WORDS; count--) {
    const from = before.length - count;
    let same = 0;
    while (same < count && before[from + same] === after[same]) same += 1;
    if (same === count) return count;
  }
  return 0;
}

function foldSpace(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** Titles as people and file names write them: `Apollo_program` is `Apollo program`. */
function titleKey(title: string): string {
  return title
    .normalize("NFC")
    .replace(/[_\s]+/g, " ")
    .trim();
}
