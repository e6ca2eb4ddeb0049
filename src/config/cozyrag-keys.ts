/**
 * What becomes of each key of CoZyRAG's config: the keys of ours that take its place, each with the reason where the value isn't the old one. It reads no file. The trap: CoZyRAG kept half of its settings
 * in the code (temperature, answer length, positives), and a config that left them out would not be what was run.
 */
import { UserError } from "../errors.js";
import { escaped, leafOf, numberOf, type Old, oldValues, textOf } from "./cozyrag-values.js";
import { integer, type Leaf } from "./leaf.js";
import { hubName } from "./model-name.js";
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
    "had no gold answers to be scored by; validation questions are split off, by document. Ask these of the finished run, by its folder:",
};

/** Its own, in the code: generation's max_new_tokens. */
const ANSWER_TOKENS = 128;
const GPT2_POSITIONS = 1024;
/** Weights above these drowned the cross-entropy once the penalties had a gradient. */
const MOST = { ngram: 0.1, keyword: 0.1, short: 0.05 } as const;
const CONTRASTIVE_BATCH = 32;
/** Epochs times questions must stay a count of steps. */
const EPOCHS: Leaf<unknown> = integer({
  doc: "CoZyRAG's epochs, half of them the retriever's.",
  default: 60,
  minimum: 1,
  maximum: 1_000_000,
});
const FETCHED = "a folder of that path, else the hub's model, fetched once (tandem fetch, before a job without a network)";

/**
 * @param tree the old config
 * @param questions how many training questions there are, which makes steps of epochs; undefined: not known
 * @throws UserError for a value of a wrong type or out of range, with its place
 */
export function migrateKeys(tree: ConfigNode, questions: number | undefined): Migration {
  const old = oldValues(tree);
  const given = new Set(KNOWN.filter((key) => nodeAt(tree, key.split(".")) !== undefined) as string[]);
  return {
    entries: [...paths(old), ...models(old), ...training(old, questions), ...penalties(old)],
    dropped: Object.entries(DROPPED).flatMap(([key, reason]) =>
      given.has(key) ? [{ key, reason: [reason, ...asked(old, key)].join("\n") }] : [],
    ),
    unknown: unknownKeys(tree, ""),
  };
}

/** Questions as commands that may be pasted into a shell: one line, in quotes in which nothing is expanded. */
function asked(old: Old, key: string): string[] {
  const value = old(key)?.value;
  const quoted = (question: unknown): string =>
    `'${(typeof question === "string" ? question : JSON.stringify(question)).replaceAll(/[\s\u0085]+/g, " ").replaceAll("'", `'\\''`)}'`;
  return Array.isArray(value) ? value.map((question) => `tandem ask <run> ${quoted(question)}`) : [];
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
    const path = textOf(old, from, leafOf(key));
    return {
      key,
      value: path === undefined ? "???" : escaped(path),
      reason: path === undefined ? `${from} was not given, and CoZyRAG crashed without it` : reason,
    };
  };
  const output = textOf(old, "output_dir", leafOf("run.dir"));
  return [
    ...(output === undefined
      ? []
      : [
          {
            key: "run.dir",
            value: escaped(output),
            reason: "output_dir; each run gets a folder of its own in it, and no run overwrites another",
          },
        ]),
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

/** A number that is taken as it is, or CoZyRAG's default. */
function taken(old: Old, from: string, key: string, usual: number): Entry {
  const value = numberOf(old, from, leafOf(key));
  return { key, value: value ?? usual, reason: value === undefined ? notGiven(from) : from };
}

function notGiven(from: string): string {
  return `${from} was not given: CoZyRAG's default`;
}

/** The old key with its value, which is CoZyRAG's default where none was given. */
function named(from: string, value: number, isGiven: boolean): string {
  return isGiven ? `${from} ${value}` : `${notGiven(from)}, ${value}`;
}

function models(old: Old): Entry[] {
  const given = numberOf(old, "max_length", leafOf("generator.max_tokens"));
  const length = given ?? 384;
  return [
    retrieverModel(old),
    {
      key: "retriever.max_tokens",
      value: 256,
      reason: "MiniLM's limit in its folder; 384, which CoZyRAG's README gives, is the vector's width",
    },
    generatorModel(old),
    {
      key: "generator.max_tokens",
      value: Math.min(GPT2_POSITIONS, length + ANSWER_TOKENS),
      reason: `${named("max_length", length, given !== undefined)}, and the ${ANSWER_TOKENS} tokens of an answer, at most GPT-2's ${GPT2_POSITIONS}: passages are cut to fit, where CoZyRAG cut off the final "A:"`,
    },
    taken(old, "top_k", "prompt.passages", 1),
    { key: "eval.max_new_tokens", value: ANSWER_TOKENS, reason: "was in the code; answers are greedy, so that two epochs can be compared" },
  ];
}

/** SentenceTransformer put its own organisation before a bare name, unless it was one of BERT's. */
function retrieverModel(old: Old): Entry {
  const [from, key] = ["retriever_model_name", "retriever.path"];
  const name = textOf(old, from, leafOf(key));
  const usual = "sentence-transformers/all-MiniLM-L6-v2";
  if (name === undefined)
    return { key, value: usual, reason: `${from} was not given, and CoZyRAG crashed without it; this is its shipped config's` };
  const isBare = hubName(name) !== undefined && !name.includes("/") && !/^bert-(base|large)-/.test(name);
  return isBare
    ? { key, value: `sentence-transformers/${name}`, reason: `${from} ${name}, by its whole name; ${FETCHED}` }
    : placed(key, name, from);
}

function generatorModel(old: Old): Entry {
  const [from, key] = ["model_name", "generator.path"];
  const name = textOf(old, from, leafOf(key));
  return name === undefined ? { key, value: "distilgpt2", reason: `${notGiven(from)}; ${FETCHED}` } : placed(key, name, from);
}

/** A folder, or a model's name on the hub as it stands: which of the two is seen where the run starts. */
function placed(key: string, name: string, from: string): Entry {
  const isFolder = /^[./~]/.test(name) || hubName(name) === undefined;
  return { key, value: escaped(name), reason: isFolder ? `${from}, a folder` : `${from}; ${FETCHED}` };
}

function training(old: Old, questions: number | undefined): Entry[] {
  const first = taken(old, "batch_size", "train.generator.batch", 4);
  const batch = first.value as number;
  return [
    schedule(old, batch, questions),
    first,
    taken(old, "learning_rate_gpt", "train.generator.lr", 5e-5),
    {
      key: "train.contrastive.batch",
      value: CONTRASTIVE_BATCH,
      reason: `a batch of ${batch} has ${batch - 1} negatives, too few to learn from; it needn't be the generator's`,
    },
    taken(old, "learning_rate_retriever", "train.contrastive.lr", 5e-5),
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
function schedule(old: Old, batch: number, questions: number | undefined): Entry {
  const key = "train.schedule";
  const given = numberOf(old, "num_train_epochs", EPOCHS);
  const epochs = given ?? 60;
  const said = named("num_train_epochs", epochs, given !== undefined);
  if (questions === undefined || questions === 0) {
    const reason = `${said}: epochs of unknown length, since the questions were not counted (--questions N); this is the default schedule`;
    return { key, value: phases(1000, 200, 2), reason };
  }
  const rounds = epochs < 4 ? 1 : 2;
  const updates = (share: number, size: number): number => Math.max(1, Math.ceil((share * Math.ceil(questions / size)) / rounds));
  const [forGenerator, forRetriever] = [
    updates(Math.ceil(epochs / 2), batch),
    updates(Math.max(1, Math.floor(epochs / 2)), CONTRASTIVE_BATCH),
  ];
  const reason = `${said}, over ${questions} questions, half of them for each model; CoZyRAG never embedded the passages anew, a refresh does`;
  return { key, value: phases(forGenerator, forRetriever, rounds), reason };
}

/** Its questions name no passage, so all that is trained reads what an index finds. */
function phases(generator: number, contrastive: number, rounds: number): object[] {
  const round = [
    { phase: "generator", steps: generator, contexts: "retrieved" },
    { phase: "contrastive", steps: contrastive },
    { phase: "refresh" },
  ];
  return [{ phase: "refresh" }, ...Array.from({ length: rounds }, () => round).flat()];
}

function penalties(old: Old): Entry[] {
  const n = taken(old, "penalties.ngram_repeat.n", "train.penalties.ngram_repeat.n", 3);
  const words = numberOf(old, "penalties.short_answer.min_words", leafOf("train.penalties.short_answer.min_tokens"));
  const fewest = words ?? 4;
  return [
    { ...n, reason: `${n.reason}; counted in the answer alone` },
    weight(old, "ngram_repeat", "ngram_repeat", 0.1, MOST.ngram),
    {
      key: "train.penalties.keyword.direction",
      value: "coverage",
      reason: "its formula, 1 − overlap, punishes missing keywords, the opposite of what its README says",
    },
    weight(old, "keyword_overlap", "keyword", 0.4, MOST.keyword),
    {
      key: "train.penalties.short_answer.min_tokens",
      value: Math.min(fewest, 2),
      reason: `${named("penalties.short_answer.min_words", fewest, words !== undefined)}${fewest > 2 ? "; more than 2 contradicts answers of one word" : ""}`,
    },
    weight(old, "short_answer", "short_answer", 0.01, MOST.short),
  ];
}

function weight(old: Old, penalty: string, ours: string, usual: number, most: number): Entry {
  const [from, key] = [`penalties.${penalty}.weight`, `train.penalties.${ours}.weight`];
  const given = numberOf(old, from, leafOf(key));
  const value = given ?? usual;
  if (value <= most) return { key, value, reason: given === undefined ? notGiven(from) : from };
  const was = given === undefined ? `${notGiven(from)}, ${usual}, is too much` : `was ${given}`;
  return {
    key,
    value: most,
    reason: `${was}: CoZyRAG's penalties had no gradient, so it did nothing; here it would drown the cross-entropy`,
  };
}
