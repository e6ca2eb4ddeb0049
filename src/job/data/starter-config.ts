/**
 * A config for one's own corpus and questions, as commented YAML that `tandem train` runs as it stands. Few keys stand in it: those that follow from the files, and the first that one would change; every
 * other keeps its default. The trap: a question file without passage ids can't begin with gold passages, so its schedule begins with what is found, and says why.
 */
import { stringify } from "yaml";
import type { DataFindings, GoldFindings, QuestionFindings } from "./look-at-data.js";

/** Choices of the group `model` that a starter can begin with. */
export const STARTER_MODELS = ["small", "minilm-scratch"] as const;

export type StarterModel = (typeof STARTER_MODELS)[number];

/** The file's text. @param command the words that train with it, for its head */
export function starterConfig(name: string, found: DataFindings, model: StarterModel, command: string): string {
  const { corpus, gold } = found;
  // A schedule needs the training questions' own; those of validation and test only measure.
  const hasGold = (gold.kind === "own" || gold.kind === "store" || gold.kind === "file") && found.train.withIds > 1;
  return `# ${command}
# Written by tandem init. tandem config show prints what it resolves to, tandem config schema explains every key. Paths are absolute.
defaults:
  - data: files
  ${modelLines(model)}
  - train: alternation
  - index: exact
  - eval: full
  - _self_
  - experiment: null

name: ${scalar(name)}
seed: 0

data:
  corpus:
    # ${articles(found)}
    format: ${corpus.format}
    path: ${scalar(corpus.path)}
    # What ends a paragraph: ${corpus.split === "blank" ? "a blank line" : "every line break"}. A paragraph becomes a passage; longer ones are cut at sentence ends.
    split: ${corpus.split}
  questions:
    # ${questions(found.train)}
    train: ${scalar(found.train.path)}
${heldOut(found)}${goldLines(gold)}
# How many passages the generator reads.
prompt:
  passages: 2

train:
${hasGold ? GOLD_SCHEDULE : FOUND_SCHEDULE}
  # The first to change: more steps while the validation's figures still rise, a lower rate where the loss jumps.
  generator:
    lr: 1e-3
    batch: 8
  contrastive:
    lr: ${model === "small" ? "1e-3" : "5e-5"}
    batch: ${Math.max(2, Math.min(32, Math.floor(found.train.questions / 4)))}
${hasGold ? "" : "    # No question names its passage: the best found passage that holds the answer stands for it.\n    positives: answer\n"}
eval:
  # Longest answer, in tokens.
  max_new_tokens: 32
`;
}

const GOLD_SCHEDULE = `  # Generator and retriever in turn; after each retriever phase the index follows. The generator begins with the passages that answer.
  schedule:
    - { phase: generator, steps: 1000, contexts: gold }
    - { phase: contrastive, steps: 200 }
    - { phase: refresh }
    - { phase: generator, steps: 1000, contexts: retrieved }
    - { phase: contrastive, steps: 200 }
    - { phase: refresh }`;

const FOUND_SCHEDULE = `  # No question names its passage, so training begins with an index and reads what is found. With gold passages (passage_ids) it would learn faster.
  schedule:
    - { phase: refresh }
    - { phase: generator, steps: 1000, contexts: retrieved }
    - { phase: contrastive, steps: 200 }
    - { phase: refresh }
    - { phase: generator, steps: 1000, contexts: retrieved }
    - { phase: contrastive, steps: 200 }
    - { phase: refresh }`;

function modelLines(model: StarterModel): string {
  return model === "small"
    ? "# A pair from scratch, tokenizers too. minilm-scratch starts the retriever from MiniLM's weights (bash scripts/get-minilm.sh).\n  - model: small"
    : "# The retriever starts from MiniLM's weights, the generator from scratch. small: both from scratch.\n  - model: minilm-scratch";
}

function heldOut({ valid, test }: DataFindings): string {
  const given = (key: string, set: QuestionFindings | undefined): string =>
    set === undefined ? "" : `    # ${questions(set)}\n    ${key}: ${scalar(set.path)}\n`;
  const missing = [...(valid === undefined ? ["valid"] : []), ...(test === undefined ? ["test"] : [])];
  const split =
    missing.length === 0
      ? ""
      : `    # ${missing.length === 2 ? "Validation and test have" : `${missing[0] === "valid" ? "Validation" : "Test"} has`} no file: a tenth of the questions each, whole documents.
    split: { ${missing.map((key) => `${key}: 0.1`).join(", ")} }\n`;
  return given("valid", valid) + given("test", test) + split;
}

function goldLines(gold: GoldFindings): string {
  switch (gold.kind) {
    case "own":
      return "    # The questions stand beside their passages in the same file; these are mapped onto the passages that are searched.\n    gold_passages: null\n";
    case "file":
      return `    # The questions' passage_ids are ids of this file; they are mapped onto the passages that are searched.\n    gold_passages: ${scalar(gold.path)}\n`;
    case "store":
      return "    # The questions' passage_ids are content hashes, as a passage store has them.\n    gold_passages: null\n";
    case "lost":
    case "none":
      return "";
  }
}

/** `3 articles in 1 file`. */
export function articles({ corpus }: DataFindings): string {
  const some = corpus.isSample ? `the first ${count(corpus.articles, "article")}` : count(corpus.articles, "article");
  return `${some} of ${count(corpus.files, "file")}, ${count(corpus.paragraphs, "paragraph")}`;
}

/** `200 questions, 2 lines left out`. */
export function questions({ questions: usable, rejected, unanswerable, withIds }: QuestionFindings): string {
  const bad = rejected.length === 0 ? "" : `, ${count(rejected.length, rejected[0]?.line === undefined ? "bad one" : "line")} left out`;
  const left = bad + (unanswerable === 0 ? "" : `, ${unanswerable.toLocaleString("en-US")} unanswerable left out`);
  const named = withIds === 0 ? "none names its passage" : `${withIds === usable ? "each names" : `${withIds} name`} a passage`;
  return `${count(usable, "question")}${left}; ${named}`;
}

function count(number: number, what: string): string {
  return `${number.toLocaleString("en-US")} ${what}${number === 1 ? "" : "s"}`;
}

/** A value as YAML holds it on one line, with \`\${\` kept from being a reference. */
function scalar(text: string): string {
  return stringify(text.replaceAll("${", "\\${"), { lineWidth: 0, defaultStringType: "PLAIN", blockQuote: false }).trim();
}
