/**
 * The `data` section: where the corpus and the questions are and how they are cut and split. Only keys stand here; reading is `src/corpus`.
 * The trap: `data.root` does nothing by itself, the paths below it refer to it as `${data.root}` in the files of `conf/data`.
 */
import { choice, flag, integer, list, number, path, section, text } from "./leaf.js";

/** The leaks that can be allowed. */
const leakNames = ["answer_in_question", "near_duplicates", "shared_documents"] as const;

const corpus = section("The texts that are searched.", {
  format: choice(["wikiextractor", "jsonl", "squad"], {
    doc: "wikiextractor: a folder of its output, plain, --json or .gz; jsonl: one {id, title, text} a line; squad: the paragraphs of SQuAD's JSON, a file or a folder of them.",
    default: "jsonl",
  }),
  path: path({ doc: "The wikiextractor folder, the JSONL file or folder, or SQuAD's.", default: null }),
  chunker: choice(["paragraphs", "sentences", "tokens", "recursive"], {
    doc: "How articles become passages: paragraphs; windows of whole sentences; windows of tokens, cut between words; recursive: at blank lines, then line breaks, sentences, words.",
    default: "paragraphs",
  }),
  size: integer({
    doc: "Longest passage of the chunkers but paragraphs: sentences for sentences; for tokens and recursive tokens of the text, without title and special tokens. null: all that max_tokens leaves.",
    default: null,
    minimum: 1,
    unit: "sentences or tokens",
  }),
  overlap: integer({
    doc: "How much of a passage the next one repeats at most, in the unit of size: less than size in sentences, at most half a passage in tokens, there in whole sentences or words.",
    default: 0,
    minimum: 0,
    unit: "sentences or tokens",
  }),
  split: choice(["blank", "line"], {
    doc: "What ends a paragraph: a blank line, or every line break (as wikiextractor writes). Chunker paragraphs only.",
    default: "blank",
  }),
  max_tokens: integer({
    doc: "Longest passage, title and special tokens included, by the retriever's tokenizer; longer paragraphs are split at sentence ends. null: retriever.max_tokens.",
    default: null,
    minimum: 16,
    unit: "tokens",
  }),
  min_characters: integer({
    doc: "A shorter paragraph is merged with its neighbour, a heading with what follows it; no text is lost. Windows of sentences and tokens are as long as they come.",
    default: 30,
    minimum: 0,
    unit: "characters",
  }),
  title_template: text({
    doc: "What is embedded and ranked of a passage; {title} and {text} stand for its parts.",
    default: "{title}. {text}",
    pattern: /\{text\}/,
    wanted: "a template that holds {text}",
  }),
  limit: integer({ doc: "At most so many articles, for a quick try. null: all.", default: null, minimum: 1, unit: "articles" }),
  shard_megabytes: integer({ doc: "Largest file of the passage store.", default: 256, minimum: 1, maximum: 2000, unit: "MiB" }),
  threads: integer({
    doc: "Worker threads that chunk; the bytes written don't depend on it. null: one a core.",
    default: null,
    minimum: 1,
  }),
});

const questions = section("The questions with their answers.", {
  train: path({
    doc: "Training questions: JSONL {id, question, answers[], passage_ids[]}, question<TAB>answer lines, or SQuAD's JSON, v1.1 or v2.0, whose paragraphs are the gold passages.",
    default: null,
  }),
  valid: path({ doc: "Validation questions. null: taken from the training file by questions.split.", default: null }),
  test: path({ doc: "Test questions. null: taken from the training file by questions.split.", default: null }),
  gold_passages: path({
    doc: "JSONL passages, a file or a folder, whose ids the questions use, when they aren't the corpus's own; mapped onto the corpus by title and text. null: the ids are the corpus's.",
    default: null,
  }),
  hold_out_passages: flag({
    doc: "Keep the passages of validation and test documents out of training: never a context, never a negative.",
    default: true,
  }),
  allow_leaks: list(choice(leakNames, { doc: "", default: "answer_in_question" }), {
    doc: "Leaks that training starts with all the same. answer_in_question: questions that hold one of their answers; near_duplicates: validation or test questions that training has nearly word for word; shared_documents: documents or gold passages in two sets.",
    default: [],
  }),
  leak_tolerance: number({
    doc: "Share of a set's questions up to which answers in questions and near duplicates are only reported, as are fewer than three; shared documents are refused from the first.",
    default: 0.05,
    minimum: 0,
    maximum: 1,
  }),
  near_duplicate: number({
    doc: "How alike two questions are from which on they are near duplicates: the share of neighbouring word pairs that both have (Jaccard similarity).",
    default: 0.8,
    minimum: 0,
    exclusiveMinimum: true,
    maximum: 1,
  }),
  limit: integer({ doc: "At most so many training questions, for a quick try. null: all.", default: null, minimum: 1, unit: "questions" }),
  split: section("How one file becomes three, by document, so that nothing leaks.", {
    valid: number({
      doc: "Share of the documents set aside for validation when no file is given.",
      default: 0.1,
      minimum: 0,
      maximum: 1,
      exclusiveMaximum: true,
    }),
    test: number({
      doc: "Share of the documents set aside for testing when no file is given.",
      default: 0.1,
      minimum: 0,
      maximum: 1,
      exclusiveMaximum: true,
    }),
    seed: integer({ doc: "Seed of the split; independent of the run's seed, so that runs share their test set.", default: 0, minimum: 0 }),
  }),
});

const rename = section("Seeded renaming of invented names when a batch is made: the model must copy names, it can't learn them by heart.", {
  enabled: flag({
    doc: "Rename in the training batches of generator, contrastive, reader-distillation and joint phases; in the last two for retriever and reader alike, unless train.reader.rename is false. Validation, test and contexts: copying are never renamed.",
    default: false,
  }),
  entities: path({
    doc: "JSONL of entity spans of the passages. Those of questions and answers stand in the question file. null: nothing can be renamed.",
    default: null,
  }),
  share: number({ doc: "Share of the training examples that are renamed.", default: 1, minimum: 0, maximum: 1 }),
});

export const data = section("The corpus and the questions.", {
  root: path({ doc: "The folder that the data files' paths start from, as ${data.root}.", default: "." }),
  corpus,
  questions,
  rename,
});
