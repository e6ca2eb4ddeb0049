/** A WordPiece tokenizer small enough to be written by a test: every printable ASCII character, plus some whole words, in BERT's way. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const WORDS = "the a of and in to is was it river city north king year people town name that from with".split(" ");

/** Writes `tokenizer.json` and `tokenizer_config.json` into a folder and returns it. */
export function writeTinyTokenizer(folder: string): string {
  const pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
  for (let code = 33; code < 127; code++) {
    const character = String.fromCharCode(code).toLowerCase();
    if (!pieces.includes(character)) pieces.push(character, `##${character}`);
  }
  pieces.push(...WORDS.filter((word) => !pieces.includes(word)));
  const special = (token: string, id: number): Record<string, unknown> => ({ id: token, ids: [id], tokens: [token] });
  const json = {
    version: "1.0",
    truncation: { direction: "Right", max_length: 8, strategy: "LongestFirst", stride: 0 },
    padding: null,
    added_tokens: pieces
      .slice(0, 5)
      .map((content, id) => ({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true })),
    normalizer: { type: "BertNormalizer", clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: [
        { SpecialToken: { id: "[CLS]", type_id: 0 } },
        { Sequence: { id: "A", type_id: 0 } },
        { SpecialToken: { id: "[SEP]", type_id: 0 } },
      ],
      pair: [{ SpecialToken: { id: "[CLS]", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }, { Sequence: { id: "B", type_id: 1 } }],
      special_tokens: { "[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3) },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
    },
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, "tokenizer.json"), JSON.stringify(json));
  writeFileSync(path.join(folder, "tokenizer_config.json"), JSON.stringify({ tokenizer_class: "BertTokenizer", model_max_length: 512 }));
  return folder;
}
