/**
 * What must not be in the questions before training begins: answers inside their own questions, validation and test questions that training has nearly word for word, documents on both sides of a split. Each kind
 * has a name by which it can be allowed. Comparing sets is leaks.ts. The trap: some of each is in honest data ("which is older, A or B?" holds its answer), so what concerns wordings is refused by its share, and
 * only what concerns documents by a single one.
 */
import { UserError } from "../errors.js";
import { formHasAnswer, matchForm } from "../text/token-match.js";
import { checkNoLeak, findLeaks, type Leak, type QuestionSets } from "./leaks.js";
import type { Question } from "./question.js";

/** The names by which a kind of leak is allowed. */
type LeakName = "answer_in_question" | "near_duplicates" | "shared_documents";

export interface LeakGuard {
  readonly allow: readonly LeakName[];
  /** Share of a set's questions up to which answers in questions and near duplicates are let pass, 0 to 1. */
  readonly tolerance: number;
  /** Jaccard similarity of word pairs from which questions are near duplicates, in (0, 1]. */
  readonly near: number;
}

/** Questions of one set that hold one of their answers. */
export interface AnswerLeak {
  readonly set: string;
  readonly affected: number;
  readonly examples: readonly Pick<Question, "id" | "question" | "answers">[];
}

/** What was found of one kind in one set. */
export interface FoundLeak {
  readonly name: LeakName;
  /** `valid`, or `train and valid`. */
  readonly where: string;
  /** One sentence with counts. */
  readonly text: string;
  /** At most three, one line each. */
  readonly examples: readonly string[];
  /** Above what is let pass. */
  readonly isExcessive: boolean;
}

/** Fewer questions than this are chance in any set, however small. */
const FEWEST = 3;
const EXAMPLES = 3;

/** By whole tokens, as passages are judged. Every set that was given, those without such questions too. */
export function answersInQuestions(sets: QuestionSets, examples: number): AnswerLeak[] {
  return Object.entries(sets).map(([set, questions]) => {
    const found = questions.filter(({ question, answers }) => formHasAnswer(matchForm(question), answers.map(matchForm)));
    const shown = found.slice(0, examples).map(({ id, question, answers }) => ({ id, question, answers }));
    return { set, affected: found.length, examples: shown };
  });
}

/**
 * What answers and wordings leak, in sets of these sizes. Near duplicates are of validation and test against training; equal wordings count among them.
 *
 * @param leaks of {@link findLeaks}
 */
export function foundLeaks(
  sizes: Readonly<Record<string, number>>,
  leaks: readonly Leak[],
  answers: readonly AnswerLeak[],
  guard: LeakGuard,
): FoundLeak[] {
  const isExcessive = (affected: number, size: number): boolean => affected >= FEWEST && affected > guard.tolerance * size;
  const answered = answers.map(({ set, affected, examples }): FoundLeak & { affected: number } => ({
    name: "answer_in_question",
    where: set,
    affected,
    text: `${shareText(affected, sizes[set] ?? 0)} of ${set} hold one of their own answers`,
    examples: examples.slice(0, EXAMPLES).map(({ question, answers: [answer = ""] }) => `${quoted(question)} (answer ${quoted(answer)})`),
    isExcessive: isExcessive(affected, sizes[set] ?? 0),
  }));
  const against = [...new Set(leaks.filter(({ sets: [one] }) => one === "train").map(({ sets: [, two] }) => two))];
  const repeated = against.map((set): FoundLeak & { affected: number } => {
    const own = leaks.filter(
      ({ sets, kind }) => sets[0] === "train" && sets[1] === set && (kind === "question" || kind === "near-question"),
    );
    const affected = own.reduce((sum, leak) => sum + leak.affected[1], 0);
    const pairs = own.flatMap(({ examples }) => examples).slice(0, EXAMPLES);
    return {
      name: "near_duplicates",
      where: `train and ${set}`,
      affected,
      text: `${shareText(affected, sizes[set] ?? 0)} of ${set} stand in train word for word or nearly (${guard.near} or more of their word pairs)`,
      examples: pairs.map(({ questions: [one, two] }) => `${quoted(one.question)} and ${quoted(two.question)}`),
      isExcessive: isExcessive(affected, sizes[set] ?? 0),
    };
  });
  return [...answered, ...repeated].filter(({ affected }) => affected > 0);
}

/**
 * Looks for all kinds, reports what was found, and refuses what is neither allowed by name nor let pass.
 *
 * @param report told each finding with its examples; `isRefused` where training goes no further
 * @throws UserError for the first that is refused
 */
export function guardQuestions(sets: QuestionSets, guard: LeakGuard, report: (text: string, isRefused: boolean) => void): void {
  if (!guard.allow.includes("shared_documents")) checkNoLeak(sets, "data.questions.allow_leaks=[shared_documents]");
  guardWordings(sets, guard, report);
}

/** {@link guardQuestions} without documents: for files whose documents only their corpus knows. */
export function guardWordings(sets: QuestionSets, guard: LeakGuard, report: (text: string, isRefused: boolean) => void): void {
  const sizes = Object.fromEntries(Object.entries(sets).map(([name, questions]) => [name, questions.length]));
  const found = foundLeaks(sizes, findLeaks(sets, { near: guard.near, examples: EXAMPLES }), answersInQuestions(sets, EXAMPLES), guard);
  const refused = refusedLeaks(found, guard);
  for (const leak of found) report(`${leak.text}, for example ${leak.examples.join("; ")}`, refused.includes(leak));
  const fault = leakFault(refused, guard);
  if (fault !== undefined) throw fault;
}

/** What is above the tolerance and not allowed. */
export function refusedLeaks(found: readonly FoundLeak[], { allow }: LeakGuard): FoundLeak[] {
  return found.filter(({ name, isExcessive }) => isExcessive && !allow.includes(name));
}

/** One fault for all of them, naming the first. */
export function leakFault(refused: readonly FoundLeak[], { tolerance, allow }: LeakGuard): UserError | undefined {
  const [first, ...more] = refused;
  if (first === undefined) return undefined;
  const others = more.length === 0 ? "" : ` (and ${more.length} more such finding${more.length === 1 ? "" : "s"})`;
  const names = [...new Set([...allow, ...refused.map(({ name }) => name)])].join(",");
  return new UserError({
    where: first.where,
    what: `${first.text}, for example ${first.examples[0] ?? ""}${others}`,
    expected: `at most ${percent(tolerance)} (data.questions.leak_tolerance)`,
    remedy: `mend the files, or allow it by name: data.questions.allow_leaks=[${names}]`,
  });
}

function shareText(affected: number, size: number): string {
  return `${affected.toLocaleString("en-US")} of ${size.toLocaleString("en-US")} questions (${percent(size === 0 ? 0 : affected / size)})`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** A text of a file in quotes, without line breaks and control characters, shortened. */
function quoted(text: string, most = 100): string {
  const plain = text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, " ").trim();
  const characters = Array.from(plain);
  return JSON.stringify(characters.length <= most ? plain : `${characters.slice(0, most - 1).join("")}…`);
}
