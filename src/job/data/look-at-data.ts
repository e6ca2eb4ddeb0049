/**
 * What somebody's own files are: which format a corpus has, how its paragraphs end, what the questions hold and whether their passage ids lead anywhere. It looks and writes nothing (starter-config.ts turns
 * the findings into a config). The traps: a corpus may be a whole encyclopaedia, so only its first articles are read; and what isn't understood here would fail in training, so it fails here, with its line.
 */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import type { Article, ArticleSource } from "../../corpus/article.js";
import { openArticles } from "../../corpus/article-formats.js";
import { jsonlFiles, parseJsonlRecord } from "../../corpus/jsonl-reader.js";
import { checkNoLeak } from "../../corpus/leaks.js";
import type { Question } from "../../corpus/question.js";
import type { QuestionSet, RejectedQuestion } from "../../corpus/question-set.js";
import { readQuestions } from "../../corpus/questions.js";
import { readSourceLines } from "../../corpus/source-lines.js";
import { questionGroup, withDocuments } from "../../corpus/splits.js";
import { beginsLikeSquad } from "../../corpus/squad-file.js";
import { UserError } from "../../errors.js";

/** Articles that are read of a corpus. */
const SAMPLE = 2000;
/** A passage's id in a store: a content hash. */
const STORE_ID = /^[0-9a-f]{32}$/;

interface CorpusFindings {
  readonly path: string;
  readonly format: ArticleSource["format"];
  readonly files: number;
  readonly bytes: number;
  /** Articles read, at most 2,000. */
  readonly articles: number;
  readonly isSample: boolean;
  /** What ends a paragraph. */
  readonly split: "blank" | "line";
  /** Paragraphs in the articles read. */
  readonly paragraphs: number;
}

export interface QuestionFindings {
  readonly path: string;
  readonly questions: number;
  readonly rejected: readonly RejectedQuestion[];
  /** Marked as having no answer, and left out. */
  readonly unanswerable: number;
  /** Questions that name a passage. */
  readonly withIds: number;
  /** What a split keeps together: documents, passages, wordings. */
  readonly groups: number;
}

/** Where the questions' passage ids lead: to passages of the question files themselves, to hashes of a store, to the ids of a JSONL file or folder, to no known place, or there are none. */
export type GoldFindings =
  | { readonly kind: "own" }
  | { readonly kind: "store" }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "lost"; readonly example: string }
  | { readonly kind: "none" };

export interface DataFindings {
  readonly corpus: CorpusFindings;
  readonly train: QuestionFindings;
  readonly valid: QuestionFindings | undefined;
  readonly test: QuestionFindings | undefined;
  readonly gold: GoldFindings;
}

export interface DataFiles {
  readonly corpus: string;
  readonly questions: string;
  readonly valid?: string;
  readonly test?: string;
  /** JSONL passages whose ids the questions use, where they aren't the corpus's. */
  readonly goldPassages?: string;
}

/** Looks at all files. @throws UserError for what training couldn't read, naming file and line */
export async function lookAtData(files: DataFiles): Promise<DataFindings> {
  const sets = { train: lookAtQuestions(files.questions), valid: lookedAt(files.valid), test: lookedAt(files.test) };
  const missing = 1 + Number(files.valid === undefined) + Number(files.test === undefined);
  if (sets.train.found.groups < missing)
    throw new UserError({
      where: files.questions,
      what: `is too small to take ${missing === 3 ? "validation and test" : "held-out"} questions from`,
      expected: `questions of at least ${missing} documents`,
      got: `${sets.train.found.groups}`,
      remedy: "give more questions, or files of their own: --valid and --test",
    });
  const looked = await lookAtCorpus(files.corpus);
  const asked = [sets.train, sets.valid, sets.test].flatMap((each) => each?.set ?? []);
  const own = looked.found.format === "jsonl" ? looked.found.path : undefined;
  const { gold, documents } = await lookForGold(asked, files.goldPassages ?? own, files.goldPassages !== undefined);
  // Lines that questions name are passages already: a line break inside one ends nothing.
  const corpus = gold.kind === "file" && files.goldPassages === undefined ? withSplit(looked, "blank") : looked.found;
  refuseLeaks(sets, files.goldPassages === undefined ? documents : new Map());
  return { corpus, train: sets.train.found, valid: sets.valid?.found, test: sets.test?.found, gold };
}

interface LookedAtCorpus {
  readonly found: CorpusFindings;
  readonly articles: readonly Article[];
}

async function lookAtCorpus(given: string): Promise<LookedAtCorpus> {
  const place = path.resolve(given);
  const source = await openCorpus(place);
  const articles: Article[] = [];
  let isSample = false;
  for await (const article of source.articles()) {
    if (articles.length === SAMPLE) {
      isSample = true;
      break;
    }
    articles.push(article);
  }
  if (articles.length === 0)
    throw new UserError({
      where: given,
      what: "holds no article with text",
      expected: "wikiextractor's <doc> blocks, {id, title, text} a line, or SQuAD's JSON",
    });
  const { format, files, bytes } = source;
  const found = {
    path: place,
    format,
    files: files.length,
    bytes,
    articles: articles.length,
    isSample,
    split: paragraphEnd(articles),
    paragraphs: 0,
  };
  return { found: withSplit({ found, articles }, found.split), articles };
}

/** The findings with their paragraphs counted as this split ends them. */
function withSplit({ found, articles }: LookedAtCorpus, split: "blank" | "line"): CorpusFindings {
  const ends = split === "blank" ? /\n\s*\n/ : /\n/;
  const paragraphs = articles.reduce((sum, { text }) => sum + text.split(ends).filter((part) => part.trim() !== "").length, 0);
  return { ...found, split, paragraphs };
}

/** A folder is wikiextractor's if it holds such files, else of JSON lines, else SQuAD's; a file is known by its beginning. */
async function openCorpus(place: string): Promise<ArticleSource> {
  if (!existsSync(place))
    throw new UserError({
      where: place,
      what: "no such file or folder",
      expected: "a wikiextractor folder, a file or folder of JSON lines, or SQuAD's JSON",
      remedy: "mend --corpus",
    });
  if (statSync(place).isFile()) {
    if (beginsLikeSquad(place)) return openArticles("squad", place);
    for await (const { line } of readSourceLines(place))
      if (line.trim() !== "") return openArticles(line.startsWith("<doc") ? "wikiextractor" : "jsonl", place);
    throw new UserError({ where: place, what: "is empty", expected: "{id, title, text} a line" });
  }
  for (const format of ["wikiextractor", "jsonl", "squad"] as const) {
    try {
      return openArticles(format, place);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
    }
  }
  throw new UserError({
    where: place,
    what: "no corpus in this folder",
    expected: "wikiextractor's files (wiki_00, …), *.jsonl, or SQuAD's *.json",
    remedy: "mend --corpus",
  });
}

/** Blank lines where most articles with several lines have them, else line breaks, as wikiextractor writes. */
function paragraphEnd(articles: readonly Article[]): "blank" | "line" {
  const long = articles.filter(({ text }) => text.includes("\n"));
  const blank = long.filter(({ text }) => /\n\s*\n/.test(text));
  return 2 * blank.length >= long.length ? "blank" : "line";
}

interface Looked {
  readonly found: QuestionFindings;
  readonly set: QuestionSet;
}

function lookedAt(file: string | undefined): Looked | undefined {
  return file === undefined ? undefined : lookAtQuestions(file);
}

function lookAtQuestions(file: string): Looked {
  const set = readQuestions(file);
  const { questions, rejected, unanswerable, gold } = set;
  const withIds = questions.filter(({ passageIds }) => passageIds.length > 0).length;
  const groups = new Set(withDocuments(questions, (id) => gold.get(id)?.document).map(questionGroup)).size;
  return { found: { path: path.resolve(file), questions: questions.length, rejected, unanswerable, withIds, groups }, set };
}

/**
 * What one file asks about must not be in another: training would refuse it too, but only once the corpus is read.
 *
 * @param documents of passage ids, where they are the corpus's
 */
function refuseLeaks(
  { train, valid, test }: Record<"train" | "valid" | "test", Looked | undefined>,
  documents: ReadonlyMap<string, string>,
): void {
  const sets: Record<string, readonly Question[]> = {};
  const add = (option: string, { found, set }: Looked): void => {
    sets[`${option} ${found.path}`] = withDocuments(set.questions, (id) => set.gold.get(id)?.document ?? documents.get(id));
  };
  if (train !== undefined) add("--questions", train);
  if (valid !== undefined) add("--valid", valid);
  // One file may serve as validation and as test.
  if (test !== undefined && test.found.path !== valid?.found.path) add("--test", test);
  checkNoLeak(sets);
}

/**
 * Where the ids lead, and the documents of those that were found.
 *
 * @param isGiven the file was named for this, so an id that isn't in it is a mistake
 */
async function lookForGold(
  sets: readonly QuestionSet[],
  root: string | undefined,
  isGiven: boolean,
): Promise<{ gold: GoldFindings; documents: Map<string, string> }> {
  const documents = new Map<string, string>();
  const named = sets.flatMap(({ questions }) => questions.flatMap(({ passageIds }) => passageIds));
  if (named.length === 0) return { gold: { kind: "none" }, documents };
  const wanted = new Set(named.filter((id) => !sets.some(({ gold }) => gold.has(id))));
  const [example] = wanted;
  if (example === undefined) return { gold: { kind: "own" }, documents };
  const lost = new Set(wanted);
  for (const file of root === undefined ? [] : jsonlFiles(root).files) {
    for await (const { line, number } of readSourceLines(file)) {
      if (line.trim() === "") continue;
      const { sourceId, document } = parseJsonlRecord(line, `${file}:${number}`);
      if (lost.delete(sourceId)) documents.set(sourceId, document);
      if (lost.size === 0) return { gold: { kind: "file", path: path.resolve(root ?? file) }, documents };
    }
  }
  const [missing = example] = lost;
  if (isGiven)
    throw new UserError({
      where: root ?? "",
      what: `has no passage ${JSON.stringify(missing)}, which a question names`,
      remedy: "mend --gold-passages",
    });
  if ([...wanted].every((id) => STORE_ID.test(id))) return { gold: { kind: "store" }, documents };
  return { gold: { kind: "lost", example: missing }, documents };
}
