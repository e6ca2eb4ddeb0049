/**
 * Trains a tokenizer from a corpus: byte-level BPE in GPT-2's manner, or WordPiece in BERT's. Returns the text of `tokenizer.json` and, given
 * `output`, writes a folder that `AutoTokenizer` opens. Equal input gives equal bytes.
 * The traps: a line is the unit, so no token reaches over a line's end; and the library's own WordPiece trainer numbers the `##` characters in
 * the order of a randomly seeded hash table (another vocabulary at each run), so here BPE learns WordPiece too, on words whose
 * later characters are renamed.
 */
import path from "node:path";
import { bertNormalizer, bertPreTokenizer, byteLevelAlphabet } from "tokenizers";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { readLines } from "../storage/json-lines.js";
import { learnMerges, LIBRARY_LIMIT, type LearnedMerges } from "./merge-training.js";

export interface TrainOptions {
  /** Texts or plain-text files (UTF-8); both may be given. */
  readonly texts?: Iterable<string>;
  readonly files?: readonly string[];
  /** Tokens in all: special ones, alphabet and learned ones. */
  readonly vocabSize: number;
  /** Whether a text that is too small for so many tokens may give fewer. Default false: it is refused. */
  readonly mayBeSmaller?: boolean;
  /** They get the first ids, in this order. Default: `<|endoftext|>` for BPE; `[PAD] [UNK] [CLS] [SEP] [MASK]` for WordPiece, which needs those five. */
  readonly specialTokens?: readonly string[];
  /** The model's maximum length in tokens, written as `model_max_length`. */
  readonly maxLength?: number;
  /** Folder for `tokenizer.json` and `tokenizer_config.json`; other files in it stay. */
  readonly output?: string;
}

const PAD = "[PAD]";
const UNK = "[UNK]";
const CLS = "[CLS]";
const SEP = "[SEP]";
const MASK = "[MASK]";
/** BERT turns longer words into `[UNK]`, so nothing is learned from them. */
const LONGEST_WORD = 100;
/** Private-use planes: a word's first character i becomes FIRST + i, a later one LATER + i, so that BPE tells them apart. */
const FIRST = 0xf0000;
const LATER = 0x100000;
const PLANE_SIZE = 0xfffe;

/**
 * Byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2): any text is encoded, nothing is unknown. Equal to what the Python library trains
 * with `BpeTrainer(vocab_size, special_tokens, initial_alphabet=ByteLevel.alphabet())`.
 * The first special token is the text's end (`eos`); there is no padding token, as in GPT-2.
 * @throws UserError when the corpus is too small for the vocabulary, or a file can't be read.
 */
export function trainByteBpe(options: TrainOptions): string {
  const specials = options.specialTokens ?? ["<|endoftext|>"];
  checkOptions(options, specials);
  const alphabet = [...byteLevelAlphabet()].sort(byCodePoint);
  const learned = learnMerges(corpusLines(options), "byte-level");
  const { vocabulary, used } = assemble(specials, alphabet, learned, "", options);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const json = tokenizerJson(specials, {
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: { ...byteLevel, trim_offsets: false },
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: vocabulary,
      merges: used,
    },
  });
  const end = specials[0];
  const names = end === undefined ? {} : { bos_token: end, eos_token: end, unk_token: end };
  // Without type ids: given them, GPT-2 would add the embedding of token 0 everywhere.
  writeFolder(options, json, { ...names, model_input_names: ["input_ids", "attention_mask"] });
  return json;
}

/**
 * WordPiece for BERT: lower-cased, accents dropped, `[CLS] A [SEP] B [SEP]`. Every character of the corpus is in the vocabulary.
 * Learned as Hugging Face's trainer does (BPE merges over characters; Google's own trainer was never published).
 * @throws UserError when the corpus is too small for the vocabulary or the vocabulary too small for its characters, or a file can't be read.
 */
export function trainWordPiece(options: TrainOptions): string {
  const specials = options.specialTokens ?? [PAD, UNK, CLS, SEP, MASK];
  const missing = [PAD, UNK, CLS, SEP, MASK].find((token) => !specials.includes(token));
  if (missing !== undefined)
    throw new UserError({
      where: "tokenizer training",
      what: `WordPiece needs the special token ${missing}`,
      remedy: `add ${missing} to specialTokens`,
    });
  checkOptions(options, specials);
  const words = countWords(corpusLines(options));
  const { alphabet, lines, original } = renameCharacters(words);
  const { merges, full } = learnMerges(lines, "white-space");
  const learned = { merges: merges.map(([left, right]): [string, string] => [original(left), original(right)]), full };
  const { vocabulary } = assemble(specials, alphabet, learned, "##", options);
  const json = tokenizerJson(specials, {
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: pairTemplate(specials),
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: UNK,
      continuing_subword_prefix: "##",
      max_input_chars_per_word: LONGEST_WORD,
      vocab: vocabulary,
    },
  });
  writeFolder(options, json, {
    pad_token: PAD,
    unk_token: UNK,
    cls_token: CLS,
    sep_token: SEP,
    mask_token: MASK,
    model_input_names: ["input_ids", "token_type_ids", "attention_mask"],
  });
  return json;
}

function checkOptions(options: TrainOptions, specials: readonly string[]): void {
  const fault = (what: string, remedy: string) => new UserError({ where: "tokenizer training", what, remedy });
  if (!Number.isSafeInteger(options.vocabSize) || options.vocabSize < 1) {
    throw fault(`vocabulary size ${options.vocabSize}`, "give a whole number of tokens");
  }
  if (options.texts === undefined && options.files === undefined) throw fault("no text to learn from", "give texts or files");
  if (new Set(specials).size !== specials.length || specials.includes(""))
    throw fault("a special token is empty or given twice", "give each once");
}

function* corpusLines(options: TrainOptions): Generator<string> {
  yield* options.texts ?? [];
  for (const file of options.files ?? []) for (const { line } of readLines(file)) yield line;
}

/**
 * Ids: special tokens, alphabet, then what the merges make, cut where the vocabulary is full; `used` are the merges up to there.
 * `prefix` marks a token inside a word and vanishes when it is merged to what stands before.
 */
function assemble(
  specials: readonly string[],
  alphabet: readonly string[],
  learned: LearnedMerges,
  prefix: string,
  { vocabSize: size, mayBeSmaller = false }: TrainOptions,
) {
  const ids = new Map<string, number>();
  for (const token of [...specials, ...alphabet]) if (!ids.has(token)) ids.set(token, ids.size);
  if (size < ids.size) {
    throw new UserError({
      where: "tokenizer training",
      what: `a vocabulary of ${size} has no room for ${specials.length} special tokens and ${alphabet.length} characters`,
      remedy: `ask for ${ids.size} tokens or more`,
    });
  }
  const used: [string, string][] = [];
  for (const [left, right] of learned.merges) {
    if (ids.size === size) break;
    const joined = left + right.slice(prefix.length);
    if (!ids.has(joined)) ids.set(joined, ids.size);
    used.push([left, right]);
  }
  if (ids.size < size && !(mayBeSmaller && !learned.full)) {
    throw new UserError({
      where: "tokenizer training",
      what: learned.full ? `the library learns about ${LIBRARY_LIMIT} tokens at most` : `the text is too small for ${size} tokens`,
      remedy: `ask for ${ids.size} tokens or fewer${learned.full ? "" : ", or give more text"}`,
    });
  }
  return { vocabulary: Object.fromEntries(ids), used };
}

/** The words that BERT's normaliser and pre-tokeniser make, with their counts. */
function countWords(lines: Iterable<string>): Map<string, number> {
  const normalizer = bertNormalizer({ cleanText: true, handleChineseChars: true, lowercase: true });
  const preTokenizer = bertPreTokenizer();
  const counts = new Map<string, number>();
  for (const line of lines) {
    for (const [word] of preTokenizer.preTokenizeString(normalizer.normalizeString(line))) {
      if (word.length <= LONGEST_WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return counts;
}

/** Words for the BPE trainer, their alphabet in WordPiece's spelling, and the way back from the trainer's tokens. */
function renameCharacters(words: ReadonlyMap<string, number>) {
  const later = new Set<string>();
  const characters = new Set<string>();
  for (const word of words.keys()) {
    Array.from(word, (character, i) => {
      characters.add(character);
      if (i > 0) later.add(character);
    });
  }
  const sorted = [...characters].sort(byCodePoint);
  if (sorted.length > PLANE_SIZE) {
    throw new UserError({
      where: "tokenizer training",
      what: `the text has ${sorted.length} different characters`,
      expected: `at most ${PLANE_SIZE}`,
      remedy: "check its encoding",
    });
  }
  const indexOf = new Map(sorted.map((character, i) => [character, i]));
  const renamed = (word: string) =>
    String.fromCodePoint(...Array.from(word, (character, i) => (i === 0 ? FIRST : LATER) + (indexOf.get(character) ?? 0)));
  function* lines(): Generator<string> {
    for (const [word, count] of words) {
      const line = renamed(word);
      for (let i = 0; i < count; i++) yield line;
    }
  }
  const original = (token: string): string => {
    const points = Array.from(token, (character) => character.codePointAt(0) ?? 0);
    const text = points.map((point) => sorted[point >= LATER ? point - LATER : point - FIRST] ?? "").join("");
    return (points[0] ?? 0) >= LATER ? `##${text}` : text;
  };
  const alphabet = [...sorted, ...[...later].sort(byCodePoint).map((character) => `##${character}`)];
  return { alphabet, lines: lines(), original };
}

function byCodePoint(a: string, b: string): number {
  return (a.codePointAt(0) ?? 0) - (b.codePointAt(0) ?? 0);
}

function pairTemplate(specials: readonly string[]): object {
  const mark = (id: string, type: number) => ({ SpecialToken: { id, type_id: type } });
  const text = (id: "A" | "B", type: number) => ({ Sequence: { id, type_id: type } });
  const entry = (token: string) => [token, { id: token, ids: [specials.indexOf(token)], tokens: [token] }] as const;
  const single = [mark(CLS, 0), text("A", 0), mark(SEP, 0)];
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, text("B", 1), mark(SEP, 1)],
    special_tokens: Object.fromEntries([entry(CLS), entry(SEP)]),
  };
}

function tokenizerJson(specials: readonly string[], parts: object): string {
  const added = specials.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  return `${JSON.stringify({ version: "1.0", truncation: null, padding: null, added_tokens: added, ...parts }, undefined, 2)}\n`;
}

function writeFolder(options: TrainOptions, json: string, names: object): void {
  if (options.output === undefined) return;
  // The one class name that transformers 4 and 5 both open from tokenizer.json alone.
  const settings = {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...(options.maxLength !== undefined && { model_max_length: options.maxLength }),
    clean_up_tokenization_spaces: false,
    ...names,
  };
  writeFileAtomic(path.join(options.output, "tokenizer.json"), json);
  writeFileAtomic(path.join(options.output, "tokenizer_config.json"), `${JSON.stringify(settings, undefined, 2)}\n`);
}
