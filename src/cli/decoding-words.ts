/**
 * The options of `tandem ask` that say how answers are chosen, as overrides of the run's config: the schema checks their ranges and refuses what contradicts itself. The trap: a strategy on the
 * command line takes the place of the run's, so the run's settings of other strategies are dropped with it; other options only add to the run's. And yargs reads `--no-…` as a denial, so the n-gram's option has a name of its own.
 */
import type { Argv } from "yargs";
import { UserError } from "../errors.js";

/** What {@link withDecoding} adds to a command's arguments. */
export interface DecodingArguments {
  strategy: string | undefined;
  temperature: number | undefined;
  "top-k": number | undefined;
  "top-p": number | undefined;
  seed: number | undefined;
  beams: number | undefined;
  "length-penalty": number | undefined;
  "early-stopping": string | undefined;
  "repetition-penalty": number | undefined;
  "distinct-ngrams": number | undefined;
  answers: number | undefined;
  stop: string[] | undefined;
  "max-new-tokens": number | undefined;
}

/** Each option's key, and how it is explained. */
const OPTIONS = {
  strategy: ["generation.strategy", "string", "greedy, sample or beam, instead of the run's"],
  temperature: ["generation.temperature", "number", "sample: below 1 the likely tokens come more often"],
  "top-k": ["generation.top_k", "number", "sample: only the k likeliest tokens"],
  "top-p": ["generation.top_p", "number", "sample: only the likeliest tokens that add up to p"],
  seed: ["generation.seed", "number", "sample: another seed, other answers"],
  beams: ["generation.beams", "number", "beam: answers kept at once"],
  "length-penalty": ["generation.length_penalty", "number", "beam: above 0 favours long answers"],
  "early-stopping": ["generation.early_stopping", "string", "beam: heuristic, full or never"],
  "repetition-penalty": ["generation.repetition_penalty", "number", "above 1: repeated tokens become less likely"],
  "distinct-ngrams": ["generation.no_repeat_ngram_size", "number", "no sequence of so many tokens stands twice"],
  answers: ["generation.answers", "number", "answers to each question; sample and beam"],
  "max-new-tokens": ["eval.max_new_tokens", "number", "the longest answer, in tokens"],
} as const;

/** The keys that a strategy on the command line resets. */
const OF_STRATEGIES = ["temperature", "top_k", "top_p", "seed", "beams", "length_penalty", "early_stopping"];

/** Declares the options. */
export function withDecoding<Arguments>(yargs: Argv<Arguments>): Argv<Arguments & DecodingArguments> {
  let declared = yargs as unknown as Argv;
  for (const [name, [, type, describe]] of Object.entries(OPTIONS))
    declared = declared.option(name, { type, requiresArg: true, describe, group: "How answers are chosen:" });
  return declared.option("stop", {
    type: "string",
    array: true,
    requiresArg: true,
    nargs: 1,
    describe: "a text that ends an answer; may be given several times",
    group: "How answers are chosen:",
  }) as unknown as Argv<Arguments & DecodingArguments>;
}

/** The options that were given, as overrides of the config. */
export function decodingOverrides(given: DecodingArguments): string[] {
  const words = Object.entries(OPTIONS).flatMap(([name, [key]]) => {
    const value = given[name as keyof typeof OPTIONS];
    return value === undefined ? [] : [`${key}=${typeof value === "string" ? quoted(value) : value}`];
  });
  const reset = given.strategy === undefined ? [] : [...OF_STRATEGIES.map((key) => `generation.${key}=null`), ...resetAnswers(given)];
  const stop = given.stop === undefined ? [] : [`generation.stop=[${given.stop.map(quoted).join(",")}]`];
  return [...reset, ...words, ...stop];
}

/** A mistake in the words of {@link decodingOverrides} as one in the options that were typed. */
export function inOptions(error: unknown): unknown {
  if (!(error instanceof UserError)) return error;
  const { fault } = error;
  const own = Object.entries(OPTIONS).find(([, [key]]) => fault.where.includes(`'${key}=`));
  const typed = (text: string): string =>
    Object.entries(OPTIONS).reduce(
      (words, [option, [key]]) =>
        words
          .replaceAll(`${key}=null`, `leave --${option} out`)
          .replaceAll(`set ${key}=`, `give --${option} `)
          .replaceAll(key, `--${option}`),
      text,
    );
  return new UserError({
    ...fault,
    where: own === undefined ? fault.where : `--${own[0]}`,
    what: typed(fault.what),
    ...(fault.remedy === undefined ? {} : { remedy: typed(fault.remedy) }),
  });
}

/** Greedy decoding has one answer, whatever the run asked for. */
function resetAnswers({ strategy }: DecodingArguments): string[] {
  return strategy === "greedy" ? ["generation.answers=1"] : [];
}

/** Text in the grammar of overrides: a backslash before a quote counts, and `${` would be a reference. */
function quoted(text: string): string {
  const escaped = text.replace(/\\*("|$)/g, (found) => found.replace(/["\\]/g, "\\$&"));
  return `"${escaped.replaceAll("${", "\\${")}"`;
}
