/**
 * From the config's `data` section to a passage store and checked question sets: builds the store unless a complete one is there, aligns gold passages, splits by document,
 * refuses leaks. It reads no model but the tokenizer that passages are measured with. The trap: what is rejected or unmapped is reported with its line, never dropped in silence.
 */
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { DataConfig } from "../../config/schema.js";
import { openArticles } from "../../corpus/article-formats.js";
import { buildCorpus, type BuildCorpusOptions, type CorpusReport, type CorpusSpec } from "../../corpus/build-corpus.js";
import { alignGold, readGoldPassages } from "../../corpus/gold-alignment.js";
import { MANIFEST_FILE } from "../../corpus/passage-manifest.js";
import { PassageStore } from "../../corpus/passage-store.js";
import { placeOf, type GoldPassage, type QuestionSet } from "../../corpus/question-set.js";
import { readQuestions, type Question } from "../../corpus/questions.js";
import { guardQuestions, guardWordings, type LeakGuard } from "../../corpus/leak-guard.js";
import { checkNoLeak, findLeaks, type Leak } from "../../corpus/leaks.js";
import { questionGroup, splitByDocument, withDocuments } from "../../corpus/splits.js";
import { UserError } from "../../errors.js";
import type { Report } from "../reporter.js";

export interface QuestionSets {
  readonly train: readonly Question[];
  readonly valid: readonly Question[];
  readonly test: readonly Question[];
}

/** At most this much text teaches a tokenizer: more changes no merge that matters and would not stay in memory. */
const TOKENIZER_CHARACTERS = 50_000_000;

const REJECTED_SHOWN = 5;

/** Of the documents that are allowed to be on two sides. */
const ALLOWED_EXAMPLES = 3;

/** The documents of validation and test: those that their questions name and those of their gold passages. */
export function heldOutDocuments({ valid, test }: Pick<QuestionSets, "valid" | "test">, store: PassageStore): Set<string> {
  const named = [...valid, ...test].flatMap(({ document }) => (document === undefined ? [] : [document]));
  const rows = [...valid, ...test].flatMap(({ passageIds }) => passageIds.map((id) => store.rowOf(id)));
  return new Set([...named, ...rows.flatMap((row) => (row === undefined ? [] : [store.field(row, "document")]))]);
}

/** Where the corpus lies, from the config. @throws UserError when no path is set */
export function corpusSource(data: DataConfig): CorpusSpec["source"] {
  const { format, path: source, limit } = data.corpus;
  if (source === null)
    throw new UserError({
      where: "data.corpus.path",
      what: "is not set",
      expected: "a wikiextractor folder, a JSONL file or SQuAD's JSON",
      remedy: "set data.corpus.path=… or choose data=quickstart",
    });
  return { format, path: source, ...(limit === null ? {} : { limit }) };
}

/** Titles and texts of the corpus, for training a tokenizer. */
export async function corpusTexts(data: DataConfig): Promise<string[]> {
  const { format, path: source } = corpusSource(data);
  const reader = openArticles(format, source);
  const texts: string[] = [];
  let characters = 0;
  for await (const { title, text } of reader.articles()) {
    texts.push(`${title}\n${text}`);
    characters += text.length;
    if (characters > TOKENIZER_CHARACTERS || texts.length === data.corpus.limit) break;
  }
  return texts;
}

/** Training questions with their answers, for training a tokenizer. Empty when there is no file yet. */
export function questionTexts(data: DataConfig): string[] {
  if (data.questions.train === null) return [];
  return readQuestions(data.questions.train).questions.map(({ question, answers }) => `${question} ${answers.join(" ")}`);
}

/** Opens the store in `folder`, or builds it there with the tokenizer of `tokenizerFolder`. */
export async function prepareStore(
  data: DataConfig,
  folder: string,
  tokenizerFolder: string,
  maxTokens: number,
  report: Report,
): Promise<PassageStore> {
  if (!existsSync(path.join(folder, MANIFEST_FILE))) {
    const built = await buildCorpus(corpusJob(data, folder, tokenizerFolder, maxTokens, report));
    report({ type: "note", text: describeCorpus(built) });
  }
  return PassageStore.open(folder);
}

/** How the config wants its corpus built into `output`. `maxTokens`: what the retriever reads, unless the config says otherwise. */
export function corpusJob(
  data: DataConfig,
  output: string,
  tokenizerFolder: string,
  maxTokens: number,
  report: Report,
): BuildCorpusOptions {
  const { corpus } = data;
  return {
    source: corpusSource(data),
    chunk: {
      ...(corpus.chunker === "paragraphs" ? {} : { chunker: corpus.chunker }),
      ...(corpus.size === null ? {} : { size: corpus.size }),
      ...(corpus.overlap === 0 ? {} : { overlap: corpus.overlap }),
      split: corpus.split,
      maxTokens: corpus.max_tokens ?? maxTokens,
      minCharacters: corpus.min_characters,
      titleTemplate: corpus.title_template,
    },
    tokenizer: tokenizerFolder,
    output,
    threads: corpus.threads ?? os.availableParallelism(),
    shardBytes: corpus.shard_megabytes * 2 ** 20,
    onProgress: ({ bytesRead, bytes, passages }) =>
      report({ type: "progress", name: "corpus", done: bytesRead, total: bytes, detail: `${passages} passages` }),
  };
}

/** One line about a store that was built. */
export function describeCorpus(built: CorpusReport): string {
  const left = built.duplicates === 0 ? "" : `, ${built.duplicates} exact duplicates left out`;
  return `${built.passages} passages from ${built.documents} documents${left} (${built.seconds.toFixed(1)} s)`;
}

/**
 * The question sets of the config, aligned to the store.
 *
 * @param isGoingOn training has begun with them: only documents on two sides are refused still
 * @throws UserError when a file is missing, splits leak, or a split is empty
 */
export async function prepareQuestions(data: DataConfig, store: PassageStore, report: Report, isGoingOn = false): Promise<QuestionSets> {
  const gold = await namedGold(data);
  const sets = splitSets(data, (file) => aligned(readReported(file, report), gold, store, file, report));
  const compared = comparedSets(data, sets);
  const isAllowed = data.questions.allow_leaks.includes("shared_documents");
  if (!isGoingOn) guardSets(data, compared, report);
  else if (!isAllowed) checkNoLeak(compared);
  const allowed = isAllowed ? sharedDocuments(compared) : [];
  report({
    type: "note",
    text: `${sets.train.length} training, ${sets.valid.length} validation and ${sets.test.length} test questions${allowed.length > 0 ? "" : ", no document in two of them"}`,
  });
  if (allowed.length > 0) report({ type: "warning", text: sharedNote(data, allowed, compared) });
  return sets;
}

/** {@link guardWordings} on the files as they are, before anything is built from them: divided or aligned to a corpus they are looked at again. */
export function guardFiles(data: DataConfig, report: Report): void {
  const { train, valid, test } = data.questions;
  const files = { train, valid, test: test === valid ? null : test };
  const sets = Object.entries(files).flatMap(([name, file]) => (file === null ? [] : [[name, readQuestions(file).questions] as const]));
  // What isn't refused is said when the sets are what training sees.
  guardWordings(Object.fromEntries(sets), leakGuard(data), (text, isRefused) => {
    if (isRefused) report({ type: "warning", text });
  });
}

/** What the config lets pass. */
export function leakGuard({ questions }: DataConfig): LeakGuard {
  return { allow: questions.allow_leaks, tolerance: questions.leak_tolerance, near: questions.near_duplicate };
}

function guardSets(data: DataConfig, sets: Record<string, readonly Question[]>, report: Report): void {
  guardQuestions(sets, leakGuard(data), (text) => {
    report({ type: "warning", text });
  });
}

function sharedDocuments(sets: Record<string, readonly Question[]>): Leak[] {
  return findLeaks(sets, { near: null, examples: ALLOWED_EXAMPLES }).filter(({ kind, shared }) => kind !== "question" && shared > 0);
}

function sharedNote({ questions }: DataConfig, leaks: readonly Leak[], sets: Record<string, readonly Question[]>): string {
  const found = leaks.map(({ sets: [one, two], kind, shared, affected: [, asked], examples }) => {
    const named = examples.map((example) => JSON.stringify(example.shared)).join(", ");
    return `${one} and ${two} share ${shared} ${kind}${shared === 1 ? "" : "s"} (${asked} of ${sets[two]?.length ?? 0} questions of ${two}), for example ${named}`;
  });
  const held = questions.hold_out_passages
    ? "; data.questions.hold_out_passages keeps the passages of validation and test documents, these among them, out of contexts and negatives"
    : "";
  return `${found.join("; ")}, as data.questions.allow_leaks allows: what is measured there isn't what unseen documents would give${held}`;
}

/** Reads the files of the config by `read` and takes validation and test from the training file where they have none. @throws UserError when no training file is named */
export function splitSets({ questions }: DataConfig, read: (file: string) => Question[]): QuestionSets {
  if (questions.train === null)
    throw new UserError({
      where: "data.questions.train",
      what: "is not set",
      expected: "a file of questions",
      remedy: "set data.questions.train=…",
    });
  const given = read(questions.train);
  const fractions = {
    valid: questions.valid === null ? questions.split.valid : 0,
    test: questions.test === null ? questions.split.test : 0,
    seed: questions.split.seed,
  };
  const split =
    fractions.valid + fractions.test === 0 ? { train: given, valid: [], test: [] } : splitByDocument(given, questionGroup, fractions);
  return {
    train: questions.limit === null ? split.train : split.train.slice(0, questions.limit),
    valid: questions.valid === null ? split.valid : read(questions.valid),
    test: questions.test === null ? split.test : read(questions.test),
  };
}

/** The sets that must have nothing in common. One file may serve as validation and as test; it must not share a document with training. */
export function comparedSets({ questions }: DataConfig, sets: QuestionSets): Record<string, readonly Question[]> {
  const isOneFile = questions.valid !== null && questions.valid === questions.test;
  return isOneFile ? { train: sets.train, valid: sets.valid } : { ...sets };
}

/** The passages of `data.questions.gold_passages`, none if it isn't set. */
export async function namedGold({ questions }: DataConfig): Promise<ReadonlyMap<string, GoldPassage>> {
  return questions.gold_passages === null ? new Map() : await readGoldPassages(questions.gold_passages);
}

/** Reads a question file and reports what is left out: the first rejected lines with number and reason, the number of the others, that of unanswerable questions. */
export function readReported(file: string, report: Report): QuestionSet {
  const set = readQuestions(file);
  const { rejected, unanswerable } = set;
  for (const each of rejected.slice(0, REJECTED_SHOWN))
    report({ type: "warning", text: `${placeOf(file, each)}: left out: ${each.reason}` });
  if (rejected.length > REJECTED_SHOWN)
    report({
      type: "warning",
      text: `${file}: ${rejected.length - REJECTED_SHOWN} more ${rejected[0]?.line === undefined ? "questions" : "lines"} left out; tandem corpus --questions lists them`,
    });
  if (unanswerable > 0)
    report({
      type: "warning",
      text: `${file}: ${unanswerable} left out that are marked as unanswerable: nothing here trains or scores no answer`,
    });
  return set;
}

/** A set's questions with passages and documents of the store; what isn't found is reported. */
export function aligned(
  { questions, gold: own }: QuestionSet,
  named: ReadonlyMap<string, GoldPassage>,
  store: PassageStore,
  file: string,
  report: Report,
): Question[] {
  const { questions: mapped, report: alignment } = alignGold(questions, new Map([...named, ...own]), store);
  if (alignment.unmapped.length > 0) {
    const [first] = alignment.unmapped;
    report({
      type: "warning",
      text: `${file}: ${alignment.unmapped.length} gold passages are not in the corpus, for example ${first?.passageId ?? ""} (${first?.reason ?? ""})`,
    });
  }
  return withDocuments(mapped, (id) => {
    const row = store.rowOf(id);
    return row === undefined ? undefined : store.field(row, "document");
  });
}
