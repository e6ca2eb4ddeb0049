/**
 * The question sets that training would use, compared for what they share: documents, gold passages, wordings, near wordings. It trains nothing and builds nothing. The trap: documents and passages are the
 * store's only where a store is given; without one they are what the files themselves say, and a split of one file falls otherwise than in training if the store knows more.
 */
import type { DataConfig } from "../../config/schema.js";
import { answersInQuestions, foundLeaks, refusedLeaks, type AnswerLeak, type FoundLeak } from "../../corpus/leak-guard.js";
import { findLeaks, type Leak, type LeakOptions } from "../../corpus/leaks.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import { withDocuments } from "../../corpus/splits.js";
import { aligned, comparedSets, leakGuard, namedGold, readReported, splitSets } from "./data.js";
import type { Report } from "../reporter.js";

export interface LeakReport {
  /** Questions of each set that was compared. */
  readonly sets: Readonly<Record<string, number>>;
  readonly leaks: readonly Leak[];
  /** Questions that hold one of their own answers, of each set. */
  readonly answers: readonly AnswerLeak[];
  /** What of answers and wordings training would refuse. */
  readonly refused: readonly FoundLeak[];
}

/** @throws UserError for files that can't be read; not for leaks */
export async function checkLeaks(
  data: DataConfig,
  store: PassageStore | undefined,
  options: LeakOptions,
  report: Report,
): Promise<LeakReport> {
  const named = await namedGold(data);
  const sets = splitSets(data, (file) => {
    const set = readReported(file, report);
    if (store !== undefined) return aligned(set, named, store, file, report);
    return withDocuments(set.questions, (id) => (set.gold.get(id) ?? named.get(id))?.document);
  });
  const { valid, test, split } = data.questions;
  const isDivided = (valid === null && split.valid > 0) || (test === null && split.test > 0);
  if (store === undefined && isDivided)
    report({
      type: "warning",
      text: "one file is divided by the documents that it names itself; with --store by those of the passages, as training does",
    });
  if (valid !== null && valid === test)
    report({ type: "note", text: `validation and test are one file (${valid}), so they aren't compared` });
  const compared = Object.fromEntries(Object.entries(comparedSets(data, sets)).filter(([, questions]) => questions.length > 0));
  const counts = Object.fromEntries(Object.entries(compared).map(([name, questions]) => [name, questions.length]));
  const leaks = findLeaks(compared, options);
  const answers = answersInQuestions(compared, options.examples);
  const guard = leakGuard(data);
  return { sets: counts, leaks, answers, refused: refusedLeaks(foundLeaks(counts, leaks, answers, guard), guard) };
}
