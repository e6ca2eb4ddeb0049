/**
 * Training, validation and test by document, so that no article is on both sides. Not by question: two questions about one paragraph would leak it.
 * The trap: files that somebody split before may leak all the same; leaks.ts says so before a figure is believed.
 */
import { UserError } from "../errors.js";
import { hashBytes } from "../storage/content-hash.js";
import type { Question } from "./question.js";

export interface SplitOptions {
  /** Shares of the questions, each in [0, 1), together below 1. */
  valid: number;
  test: number;
  seed: number;
}

export interface Splits<Item> {
  train: Item[];
  valid: Item[];
  test: Item[];
}

/** What a question is kept together by: its document, else its gold passages, else its own wording. */
export function questionGroup(question: Pick<Question, "question" | "passageIds" | "document">): string {
  if (question.document !== undefined) return `document ${question.document}`;
  const [first] = [...question.passageIds].sort((a, b) => (a < b ? -1 : 1));
  return first === undefined ? `question ${sameWording(question.question)}` : `passage ${first}`;
}

/**
 * Divides items by group, whole groups only. Groups are taken in the order of hash(seed, group) until test, then validation, have their share; so
 * the result depends on seed and groups, not on the order of the items, and each split keeps that order. A share above 0 gets at least one group.
 * @throws UserError for shares out of range, or fewer groups than splits.
 */
export function splitByDocument<Item>(items: readonly Item[], groupOf: (item: Item) => string, options: SplitOptions): Splits<Item> {
  const { valid, test, seed } = options;
  if (!(valid >= 0 && test >= 0 && valid + test < 1)) {
    throw new UserError({
      where: "data.questions.split",
      what: "shares out of range",
      expected: "valid ≥ 0, test ≥ 0, together < 1",
      got: `${valid} and ${test}`,
    });
  }
  const sizes = new Map<string, number>();
  for (const item of items) sizes.set(groupOf(item), (sizes.get(groupOf(item)) ?? 0) + 1);
  const wanted = 1 + Number(valid > 0) + Number(test > 0);
  if (sizes.size < wanted) {
    throw new UserError({
      where: "data.questions.split",
      what: "too few documents to split by",
      expected: `at least ${wanted}`,
      got: String(sizes.size),
      remedy: "give separate files for validation and test",
    });
  }
  const keyed = [...sizes.keys()].map((group) => ({ group, key: hashBytes(JSON.stringify([seed, group])) }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
  const splitOf = new Map<string, keyof Splits<Item>>();
  const order = keyed.map(({ group }) => group);
  const take = (split: "valid" | "test", share: number): void => {
    // One group stays for each split that is still to be filled.
    const reserve = split === "test" && valid > 0 ? 2 : 1;
    for (let taken = 0; taken < share * items.length && order.length > reserve;) {
      const group = order.shift() ?? "";
      splitOf.set(group, split);
      taken += sizes.get(group) ?? 0;
    }
  };
  take("test", test);
  take("valid", valid);
  const splits: Splits<Item> = { train: [], valid: [], test: [] };
  for (const item of items) splits[splitOf.get(groupOf(item)) ?? "train"].push(item);
  return splits;
}

/**
 * Fills in `document` from the gold passages where a question has none. `documentOf` gives the document of a passage id, or undefined.
 * @returns new questions; those without a known passage are as before.
 */
export function withDocuments(questions: readonly Question[], documentOf: (passageId: string) => string | undefined): Question[] {
  return questions.map((question) => {
    if (question.document !== undefined) return question;
    const document = question.passageIds.map(documentOf).find((found) => found !== undefined);
    return document === undefined ? question : { ...question, document };
  });
}

function sameWording(text: string): string {
  return text.toLowerCase().replace(/\s+/g, " ").trim();
}
