/**
 * What becomes of each key of CoZyRAG's config: the keys of ours that take its place, each with the reason where the value isn't the old one. It reads no file. The trap: CoZyRAG kept half of its settings
 * in the code (temperature, answer length, positives), and a config that left them out would not be what was run.
 */
import { UserError } from "../errors.js";
import { scalarOfWord } from "./override-value.js";
import { type ConfigNode, nodeAt, plainValue } from "./tree.js";

/** One line of the new config. */
export interface Entry {
  readonly key: string;
  readonly value: unknown;
  /** Why it isn't the old value, or where it comes from. */
  readonly reason: string;
}

export interface Migration {
  readonly entries: readonly Entry[];
  /** Old keys that have no place here, with the reason. */
  readonly dropped: readonly { readonly key: string; readonly reason: string }[];
  /** Keys that CoZyRAG didn't know either, with their places. */
  readonly unknown: readonly string[];
}

/** A value of the old config with its place; undefined: the key isn't there. */
type Old = (key: string) => { readonly value: unknown; readonly where: string } | undefined;

const KNOWN = [
  "qa_path",
  "wiki_passages_path",
  "faiss_index_path",
  "embedding_path",
  "retriever_model_name",
  "model_name",
  "learning_rate_gpt",
  "learning_rate_retriever",
  "batch_size",
  "num_train_epochs",
  "checkpoint_epoch",
  "top_k",
  "max_length",
  "output_dir",
  "use_ddp",
  "save_each_epoch",
  "validation_questions",
  "penalties.ngram_repeat.n",
  "penalties.ngram_repeat.weight",
  "penalties.keyword_overlap.weight",
  "penalties.short_answer.min_words",
  "penalties.short_answer.weight",
] as const;

const DROPPED: Readonly<Record<string, string>> = {
  faiss_index_path: "each run keeps its index in index/, with what it was made from, so that a stale one is refused",
  embedding_path: "the file had to be there and was never used; a run's embeddings are in index/",
  checkpoint_epoch: "an interrupted run goes on by itself: tandem train … --resume auto",
  use_ddp: "was never read",
  save_each_epoch: "was never read; train.checkpoint says when the state is saved",
  validation_questions:
    "had no gold answers to be scored by; validation questions are split off, by document. Ask these of the finished run:",
};

/** Its own, in the code: generation's max_new_tokens. */
const ANSWER_TOKENS = 128;
const GPT2_POSITIONS = 1024;
/** Weights above these drowned the cross-entropy once the penalties had a gradient. */
const MOST = { ngram: 0.1, keyword: 0.1, short: 0.05 } as const;
const CONTRASTIVE_BATCH = 32;

/**
 * @param tree the old config
 * @param questions how many training questions there are, which makes steps of epochs; undefined: not known
 * @throws UserError for a value of a wrong type or out of range, with its place
 */
export function migrateKeys(tree: ConfigNode, questions: number | undefined): Migration {
  const old: Old = (key) => {
    const node = nodeAt(tree, key.split("."));
    if (node === undefined) return undefined;
    const plain = plainValue(node);
    // PyYAML reads 5e-5 as text, so configs quote numbers as they like.
    return { value: typeof plain === "string" ? scalarOfWord(plain) : plain, where: node.source };
  };
  return {
    entries: [...paths(old), ...models(old), ...training(old, questions), ...penalties(old)],
    dropped: Object.entries(DROPPED).flatMap(([key, reason]) => dropped(key, reason, old)),
    unknown: unknownKeys(tree, ""),
  };
}

function dropped(key: string, reason: string, old: Old): { key: string; reason: string }[] {
  const found = old(key);
  if (found === undefined) return [];
  const asked = Array.isArray(found.value) ? found.value.map((question) => `tandem ask latest ${JSON.stringify(question)}`) : [];
  return [{ key, reason: [reason, ...asked].join("\n") }];
}

function unknownKeys(node: ConfigNode, prefix: string): string[] {
  if (node.kind !== "map") return [];
  return [...node.entries].flatMap(([name, child]) => {
    const key = prefix + name;
    if (KNOWN.some((known) => known === key)) return [];
    if (KNOWN.some((known) => known.startsWith(`${key}.`))) {
      if (child.kind === "map") return unknownKeys(child, `${key}.`);
      if (child.kind === "scalar" && child.value === null) return [];
      throw new UserError({
        where: child.source,
        what: `'${key}' is a section`,
        expected: "keys below it",
        got: JSON.stringify(plainValue(child)),
      });
    }
    return [`${key} (${child.source})`];
  });
}

function paths(old: Old): Entry[] {
  const given = (key: string, from: string, reason: string): Entry => {
    const path = textOf(old, from);
    return { key, value: path ?? "???", reason: path === undefined ? `${from} was not given, and CoZyRAG crashed without it` : reason };
  };
  const output = textOf(old, "output_dir");
  return [
    ...(output === undefined
      ? []
      : [{ key: "run.dir", value: output, reason: "output_dir; each run gets a folder of its own in it, and no run overwrites another" }]),
    {
      key: "data.corpus.format",
      value: "jsonl",
      reason: "its passages file, {id, title, text} a line; they were whole articles, so they are cut anew",
    },
    given("data.corpus.path", "wiki_passages_path", "wiki_passages_path"),
    {
      key: "data.corpus.split",
      value: "line",
      reason: "WikiExtractor ends paragraphs by one line break; CoZyRAG split at two, so its passages were whole articles",
    },
    { key: "data.corpus.max_tokens", value: 256, reason: "all that MiniLM reads of a passage; what came after was never found" },
    given("data.questions.train", "qa_path", "qa_path; question<TAB>answer lines, those without an answer are refused"),
  ];
}

function models(old: Old): Entry[] {
  const length = numberOf(old, "max_length", { integer: true, least: 16 });
  const tokens = length === undefined ? undefined : Math.min(GPT2_POSITIONS, length + ANSWER_TOKENS);
  return [
    { key: "retriever.path", ...folderOf(old, "retriever_model_name", "all-MiniLM-L6-v2", "TANDEM_MINILM") },
    {
      key: "retriever.max_tokens",
      value: 256,
      reason: "MiniLM's limit in its folder; 384, which CoZyRAG's README gives, is the vector's width",
    },
    { key: "generator.path", ...folderOf(old, "model_name", "distilgpt2", "TANDEM_DISTILGPT2") },
    ...(tokens === undefined
      ? []
      : [
          {
            key: "generator.max_tokens",
            value: tokens,
            reason: `max_length ${length ?? ""} and the ${ANSWER_TOKENS} tokens of an answer, at most GPT-2's ${GPT2_POSITIONS}: passages are cut to fit, where CoZyRAG cut off the final "A:"`,
          },
        ]),
    { key: "prompt.passages", value: numberOf(old, "top_k", { integer: true, least: 1 }) ?? 1, reason: "top_k" },
    { key: "eval.max_new_tokens", value: ANSWER_TOKENS, reason: "was in the code; answers are greedy, so that two epochs can be compared" },
  ];
}

function training(old: Old, questions: number | undefined): Entry[] {
  const batch = numberOf(old, "batch_size", { integer: true, least: 1 }) ?? 2;
  const rate = { least: 0, exclusive: true, most: 10 } as const;
  return [
    ...schedule(old, batch, questions),
    { key: "train.generator.batch", value: batch, reason: "batch_size" },
    { key: "train.generator.lr", value: numberOf(old, "learning_rate_gpt", rate) ?? 5e-5, reason: "learning_rate_gpt" },
    {
      key: "train.contrastive.batch",
      value: CONTRASTIVE_BATCH,
      reason: `a batch of ${batch} has ${batch - 1} negatives, too few to learn from; it needn't be the generator's`,
    },
    { key: "train.contrastive.lr", value: numberOf(old, "learning_rate_retriever", rate) ?? 5e-5, reason: "learning_rate_retriever" },
    { key: "train.contrastive.temperature", value: 0.1, reason: "was in the code" },
    {
      key: "train.contrastive.positives",
      value: "answer",
      reason: "CoZyRAG's positives were whatever its own retriever had found; here it is a passage that holds the answer",
    },
    {
      key: "train.contrastive.hard_negatives",
      value: 1,
      reason: "CoZyRAG had none: a passage that is found and doesn't answer teaches most",
    },
  ];
}

/** Half of CoZyRAG's epochs trained the generator, half the retriever; here phases are counted in updates, and the index follows each retriever phase. */
function schedule(old: Old, batch: number, questions: number | undefined): Entry[] {
  const epochs = numberOf(old, "num_train_epochs", { integer: true, least: 1 });
  if (epochs === undefined) return [];
  if (questions === undefined || questions === 0) {
    const reason = `num_train_epochs ${epochs}: epochs of unknown length, since the questions were not counted (--questions N); this is the default schedule`;
    return [{ key: "train.schedule", value: phases(1000, 200, 2), reason }];
  }
  const rounds = epochs < 4 ? 1 : 2;
  const updates = (share: number, size: number): number => Math.max(1, Math.ceil((share * Math.ceil(questions / size)) / rounds));
  const [forGenerator, forRetriever] = [
    updates(Math.ceil(epochs / 2), batch),
    updates(Math.max(1, Math.floor(epochs / 2)), CONTRASTIVE_BATCH),
  ];
  const reason = `num_train_epochs ${epochs} over ${questions} questions, half of them for each model; CoZyRAG never embedded the passages anew, a refresh does`;
  return [{ key: "train.schedule", value: phases(forGenerator, forRetriever, rounds), reason }];
}

function phases(generator: number, contrastive: number, rounds: number): object[] {
  const round = [{ phase: "generator", steps: generator }, { phase: "contrastive", steps: contrastive }, { phase: "refresh" }];
  return Array.from({ length: rounds }, () => round).flat();
}

function penalties(old: Old): Entry[] {
  const weight = (key: string, most: number): { value: number; reason: string } | undefined => {
    const given = numberOf(old, `penalties.${key}.weight`, { least: 0 });
    if (given === undefined) return undefined;
    const lowered = `was ${given}: CoZyRAG's penalties had no gradient, so it did nothing; here it would drown the cross-entropy`;
    return given > most ? { value: most, reason: lowered } : { value: given, reason: `penalties.${key}.weight` };
  };
  const n = numberOf(old, "penalties.ngram_repeat.n", { integer: true, least: 1 });
  const words = numberOf(old, "penalties.short_answer.min_words", { integer: true, least: 1 });
  const [ngram, keyword, short] = [
    weight("ngram_repeat", MOST.ngram),
    weight("keyword_overlap", MOST.keyword),
    weight("short_answer", MOST.short),
  ];
  const entries: (Entry | undefined)[] = [
    n === undefined
      ? undefined
      : { key: "train.penalties.ngram_repeat.n", value: n, reason: "penalties.ngram_repeat.n; counted in the answer alone" },
    ngram && { key: "train.penalties.ngram_repeat.weight", ...ngram },
    keyword && {
      key: "train.penalties.keyword.direction",
      value: "coverage",
      reason: "its formula, 1 − overlap, punishes missing keywords, the opposite of what its README says",
    },
    keyword && { key: "train.penalties.keyword.weight", ...keyword },
    words === undefined
      ? undefined
      : {
          key: "train.penalties.short_answer.min_tokens",
          value: Math.min(words, 2),
          reason: `min_words ${words}; more than 2 contradicts answers of one word`,
        },
    short && { key: "train.penalties.short_answer.weight", ...short },
  ];
  return entries.filter((entry) => entry !== undefined);
}

/** A model of the hub by the folder that its files are put in: nothing is fetched while a run starts. */
function folderOf(old: Old, key: string, usual: string, variable: string): { value: string; reason: string } {
  const name = textOf(old, key);
  if (name === undefined || name === usual || name.endsWith(`/${usual}`))
    return {
      value: `\${oc.env:${variable},\${tandem:root}/models/${usual}}`,
      reason: `${key} ${name ?? usual}: a folder, nothing is fetched while a run starts`,
    };
  const isFolder = /^[./~]/.test(name);
  const folder = escaped(name);
  return isFolder
    ? { value: folder, reason: key }
    : {
        value: `\${tandem:root}/models/${folder.split("/").at(-1) ?? folder}`,
        reason: `${key} ${name}: put the model's files there, or name their folder`,
      };
}

/** Text of the old config has no references. */
function escaped(text: string): string {
  return text.replaceAll("${", "\\${");
}

function textOf(old: Old, key: string): string | undefined {
  const found = old(key);
  if (found === undefined || found.value === null) return undefined;
  if (typeof found.value === "string" && found.value !== "") return key.endsWith("_name") ? found.value : escaped(found.value);
  throw wrong(key, found, "text");
}

interface Range {
  readonly integer?: boolean;
  readonly least: number;
  readonly exclusive?: boolean;
  readonly most?: number;
}

function numberOf(old: Old, key: string, { integer = false, least, exclusive = false, most = 1e9 }: Range): number | undefined {
  const found = old(key);
  if (found === undefined || found.value === null) return undefined;
  const { value } = found;
  const isRight =
    typeof value === "number" && value <= most && (exclusive ? value > least : value >= least) && (!integer || Number.isInteger(value));
  if (isRight) return value;
  throw wrong(key, found, `${integer ? "a whole number" : "a number"} ${exclusive ? "above" : "of at least"} ${least}, at most ${most}`);
}

function wrong(key: string, { value, where }: { value: unknown; where: string }, expected: string): UserError {
  return new UserError({ where, what: `'${key}' has a wrong value`, expected, got: JSON.stringify(value) });
}
