/**
 * What sets of questions share that should be apart: documents, gold passages, wordings, near wordings. Splitting so that nothing leaks is splits.ts; here files that somebody split before are looked at.
 * Documents and passages on two sides are refused by {@link checkNoLeak}. Shared wording alone is no proof of a leak ("When was it built?"), so it is only reported. The trap: one leaking article brings
 * hundreds of questions, so the questions affected are counted as well as what they share.
 */
import { UserError } from "../errors.js";
import { nearDuplicates } from "./near-duplicates.js";
import type { Question } from "./question.js";

const LEAK_KINDS = ["document", "passage", "question", "near-question"] as const;

export type LeakKind = (typeof LEAK_KINDS)[number];

export interface LeakExample {
  /** The document, the passage's id, or the wording without case and punctuation. Near questions share none. */
  readonly shared?: string;
  /** Of near questions: Jaccard similarity of their word pairs, 0 to 1. */
  readonly similarity?: number;
  /** One of each set. */
  readonly questions: readonly [Pick<Question, "id" | "question">, Pick<Question, "id" | "question">];
}

/** What two sets share of one kind. */
export interface Leak {
  readonly sets: readonly [string, string];
  readonly kind: LeakKind;
  /** Distinct documents, passages or wordings in both; of near questions the wordings of both sets that have a near one in the other and no equal one. */
  readonly shared: number;
  /** Questions of each set that share something with the other. */
  readonly affected: readonly [number, number];
  /** The most alike first. */
  readonly examples: readonly LeakExample[];
}

export interface LeakOptions {
  /** Jaccard similarity of word pairs from which questions are near duplicates, in (0, 1]; null looks for none. */
  readonly near: number | null;
  /** Examples of each kind at most. */
  readonly examples: number;
}

export type QuestionSets = Readonly<Record<string, readonly Question[]>>;

/**
 * Every pair of sets with every kind, those that share nothing too. Near duplicates are exact, without sampling. Two sets of 50,000 questions take seconds: docs/LOG.md has the figures.
 * @throws RangeError for a threshold out of range
 */
export function findLeaks(sets: QuestionSets, { near, examples }: LeakOptions): Leak[] {
  const named = Object.entries(sets).map(([name, questions]) => ({ name, groups: groupsOf(questions) }));
  return named.flatMap((one, i) =>
    named.slice(i + 1).flatMap((two) =>
      LEAK_KINDS.filter((kind) => kind !== "near-question" || near !== null).map((kind): Leak => {
        const found =
          kind === "near-question"
            ? nearShared(one.groups.question, two.groups.question, near ?? 1)
            : shared(one.groups[kind], two.groups[kind]);
        return { sets: [one.name, two.name], kind, ...found, examples: found.examples.slice(0, examples) };
      }),
    ),
  );
}

/**
 * Refuses sets that share a document or a gold passage.
 *
 * @param allowance the setting that lets them
 * @throws UserError naming the two sets and one of the shared documents.
 */
export function checkNoLeak(sets: QuestionSets, allowance?: string): void {
  const worst = findLeaks(sets, { near: null, examples: 1 }).find(({ kind, shared: count }) => kind !== "question" && count > 0);
  if (worst === undefined) return;
  const { sets: names, kind, shared: count, examples } = worst;
  throw new UserError({
    where: names.join(" and "),
    what: `the sets share ${count} ${kind}${count === 1 ? "" : "s"}, for example ${JSON.stringify(examples[0]?.shared)}`,
    expected: `each ${kind} in one set only`,
    remedy: `split by document: give one file and data.questions.split, or mend the files${allowance === undefined ? "" : `; ${allowance} trains all the same`}`,
  });
}

/** Questions by what they may share. */
type Groups = Record<Exclude<LeakKind, "near-question">, ReadonlyMap<string, readonly Question[]>>;

function groupsOf(questions: readonly Question[]): Groups {
  return {
    document: grouped(questions, ({ document }) => (document === undefined ? [] : [document])),
    passage: grouped(questions, ({ passageIds }) => passageIds),
    // A follow-up's words mean what was said before: "And then?" stands in many talks.
    question: grouped(questions, ({ question, history = [] }) => (history.length > 0 ? [] : [wording(question)])),
  };
}

function grouped(questions: readonly Question[], keysOf: (question: Question) => readonly string[]): Map<string, Question[]> {
  const groups = new Map<string, Question[]>();
  for (const question of questions) {
    for (const key of new Set(keysOf(question))) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [question]);
      else group.push(question);
    }
  }
  return groups;
}

type Shared = Pick<Leak, "shared" | "affected" | "examples">;
type Grouped = ReadonlyMap<string, readonly Question[]>;

function shared(one: Grouped, two: Grouped): Shared {
  const keys = [...one.keys()].filter((key) => two.has(key));
  const examples = keys.map((key) => ({ shared: key, questions: exampleOf(one.get(key), two.get(key)) }));
  return { shared: keys.length, affected: [affected(one, keys), affected(two, keys)], examples };
}

/** Wordings with an equal one on the other side are `question`'s and not counted again, though others may be near to them. */
function nearShared(one: Grouped, two: Grouped, threshold: number): Shared {
  const wordings = [[...one.keys()], [...two.keys()]] as const;
  const [left, right] = wordings.map((texts) => texts.map((text) => text.split(" ").filter((word) => word !== "")));
  const pairs = nearDuplicates(left ?? [], right ?? [], threshold)
    .map(({ left: l, right: r, similarity }) => ({ left: wordings[0][l] ?? "", right: wordings[1][r] ?? "", similarity }))
    .filter(({ left: l, right: r }) => l !== r);
  const near = [
    new Set(pairs.map((pair) => pair.left).filter((text) => !two.has(text))),
    new Set(pairs.map((pair) => pair.right).filter((text) => !one.has(text))),
  ] as const;
  const examples = pairs
    .filter((pair) => near[0].has(pair.left) || near[1].has(pair.right))
    .sort((a, b) => b.similarity - a.similarity || (a.left < b.left ? -1 : 1))
    .map((pair) => ({ similarity: pair.similarity, questions: exampleOf(one.get(pair.left), two.get(pair.right)) }));
  return { shared: near[0].size + near[1].size, affected: [affected(one, near[0]), affected(two, near[1])], examples };
}

function affected(groups: Grouped, keys: Iterable<string>): number {
  const questions = new Set<Question>();
  for (const key of keys) for (const question of groups.get(key) ?? []) questions.add(question);
  return questions.size;
}

function exampleOf(one: readonly Question[] = [], two: readonly Question[] = []): LeakExample["questions"] {
  const [a, b] = [one[0], two[0]].map((question) => ({ id: question?.id ?? "", question: question?.question ?? "" }));
  return [a ?? NONE, b ?? NONE];
}

const NONE = { id: "", question: "" };

/** Scripts that set no spaces between words: each character counts as one. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]\p{M}*/gu;

/** Letters, digits and their marks in lower case, one space between words. A question without any is itself. */
function wording(text: string): string {
  const words = text
    .normalize("NFKC")
    .toLowerCase()
    .replace(UNSPACED, " $& ")
    .match(/[\p{L}\p{N}\p{M}]+/gu);
  return words === null ? text.trim() : words.join(" ");
}
