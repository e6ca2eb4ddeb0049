/**
 * The grammar of `until` and `when`: comparisons of named metrics with numbers, joined by `and`, which binds tighter, and `or`. `loss < 0.5 and em >= 0.2 or recall@1 > 0.9`. It only reads; what a metric's
 * value is, is the training's. The trap: there are no brackets, no `not` and no arithmetic, and none may creep in: the text comes from a config, which others hand on.
 */
import { GrammarError } from "./grammar-error.js";
import { didYouMean, nearestNames } from "./nearest.js";

type Relation = "<" | "<=" | ">" | ">=";

/** `metric relation bound`. */
interface Comparison {
  readonly metric: string;
  readonly relation: Relation;
  readonly bound: number;
}

/** True when all comparisons of one of its lists are. */
export type ConditionTerms = readonly (readonly Comparison[])[];

/** Longer text is a mistake or an attack. */
const LONGEST = 300;

const TOKEN = /\s*(?:(?<relation><=|>=|<|>)|(?<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w@/.])|(?<word>[A-Za-z_][\w@/-]*))/y;

/** What may be waited for and compared, and who measures it: whoever writes another metric into the run's progress adds a line. */
const METRICS: readonly { readonly shown: string; readonly pattern: RegExp; readonly from: "validation" | "steps" | "drift" }[] = [
  { shown: "em", pattern: /^em$/, from: "validation" },
  { shown: "f1", pattern: /^f1$/, from: "validation" },
  { shown: "rouge_l", pattern: /^rouge_l$/, from: "validation" },
  { shown: "mrr", pattern: /^mrr$/, from: "validation" },
  { shown: "recall@K", pattern: /^recall@\d+$/, from: "validation" },
  {
    shown: "health/<figure>",
    pattern: /^health\/(unique_documents|hubness|entropy|rank|uniformity|repetition)$/,
    from: "validation",
  },
  { shown: "drift/<figure>", pattern: /^drift\/(cosine|overlap|regret|age)$/, from: "drift" },
  { shown: "loss", pattern: /^loss$/, from: "steps" },
  { shown: "loss/<term>", pattern: /^loss\/\w+$/, from: "steps" },
];

/** Whether a name is a validation's metric. */
export function isValidationMetric(name: string): boolean {
  return METRICS.some(({ pattern, from }) => from === "validation" && pattern.test(name));
}

/** Whether a name is a figure of the index's drift. */
export function isDriftMetric(name: string): boolean {
  return METRICS.some(({ pattern, from }) => from === "drift" && pattern.test(name));
}

/** Whether a name is a metric of the phase's own steps. */
export function isStepMetric(name: string): boolean {
  return METRICS.some(({ pattern, from }) => from === "steps" && pattern.test(name));
}

/**
 * Reads a condition.
 *
 * @throws GrammarError whose message reads `expected …`
 */
export function parseCondition(text: string): ConditionTerms {
  if (text.length > LONGEST) throw new GrammarError(`expected a condition of at most ${LONGEST} characters`);
  const words = tokens(text);
  const any: Comparison[][] = [];
  let all: Comparison[] = [];
  for (let i = 0; ; i += 4) {
    all.push(comparison(words.slice(i, i + 3)));
    const joint = words[i + 3];
    if (joint !== "and") {
      any.push(all);
      all = [];
    }
    if (joint === undefined) return any;
    if (joint !== "and" && joint !== "or") throw new GrammarError(`expected 'and' or 'or' where '${joint}' stands`);
  }
}

/** The condition as text that {@link parseCondition} reads back. */
export function conditionText(terms: ConditionTerms): string {
  const one = ({ metric, relation, bound }: Comparison): string => `${metric} ${relation} ${String(bound)}`;
  return terms.map((all) => all.map(one).join(" and ")).join(" or ");
}

/** Every metric that a condition names. */
export function metricsIn(terms: ConditionTerms): string[] {
  return [...new Set(terms.flatMap((all) => all.map(({ metric }) => metric)))];
}

function tokens(text: string): string[] {
  const found: string[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  for (let at = 0; at < end; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (match === null) throw strange(text, at);
    found.push(match[0].trim());
  }
  return found;
}

/** What stands where no word of the grammar begins: `&&` and brackets are what other languages have. */
function strange(text: string, from: number): GrammarError {
  const at = from + text.slice(from).search(/\S/);
  const where = `at column ${at + 1}`;
  const foreign = /^(?:&+|\|+|[()[\]{}]|!(?!=))/.exec(text.slice(at))?.[0];
  return foreign === undefined
    ? new GrammarError(`expected a metric, <, <=, >, >=, a number, 'and' or 'or' ${where}`)
    : new GrammarError(`expected comparisons joined by 'and', which binds tighter, and 'or', without brackets, not '${foreign}' ${where}`);
}

function comparison([metric = "", relation = "", bound = ""]: readonly string[]): Comparison {
  if (!/^[A-Za-z_]/.test(metric) || metric === "and" || metric === "or")
    throw new GrammarError(`expected a comparison such as 'loss < 0.5'${metric === "" ? "" : ` where '${metric}' stands`}`);
  if (!METRICS.some(({ pattern }) => pattern.test(metric))) {
    const names = METRICS.map(({ shown }) => shown);
    const near = nearestNames(metric, names);
    throw new GrammarError(
      `expected a metric (${names.join(", ")}), not '${metric}'`,
      near.length === 0 ? undefined : didYouMean(near, ""),
    );
  }
  if (relation !== "<" && relation !== "<=" && relation !== ">" && relation !== ">=")
    throw new GrammarError(`expected <, <=, > or >= after '${metric}'`);
  const number = Number(bound);
  if (bound === "" || !Number.isFinite(number)) throw new GrammarError(`expected a number after '${metric} ${relation}'`);
  return { metric, relation, bound: number };
}
