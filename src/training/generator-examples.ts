/**
 * What a generator batch is made of: contexts with the questions that are asked about them. An example is one question, the lead; others that the same
 * context answers are asked along with it, because an answer is then cheaper than a context. Nothing here knows tokens or tensors.
 * The traps: everything is a pure function of seed, step and example; and a context that lost its answer teaches to answer without evidence, so how
 * many contexts hold it is counted.
 */
import type { HistoryTurn } from "../corpus/question.js";
import type { Passage } from "../corpus/passage.js";
import { isAnswerable, withoutEvidence, type Sought } from "./evidence.js";
import { UserError } from "../errors.js";
import { integerBelow, shuffled, uniform } from "./counter-random.js";
import { growthAt, holds, sentencesShown, showsEvidence, shownText, type Curriculum } from "./curriculum.js";

/** A training question as the generator sees it. */
export interface GeneratorQuestion {
  readonly question: string;
  /** What is learned: the first of the gold answers. */
  readonly answer: string;
  /** All gold answers, by which a passage is known to answer. Default: the one. */
  readonly answers?: readonly string[];
  /** Rows of its gold passages, best first; may be empty. */
  readonly goldRows: readonly number[];
  /** Words of the gold passage, the answer among them, without which the answer proves nothing; a shortened context shows them. Default: the answer. */
  readonly evidence?: string | undefined;
  /** What was asked and answered before. Such a question shares its context with no other: the others weren't asked then. */
  readonly history?: readonly HistoryTurn[] | undefined;
}

/** A passage in a context, with its row in the store. */
interface ContextPassage extends Pick<Passage, "title" | "text"> {
  readonly row: number;
}

/** A context with its questions, before anything is tokenised. */
export interface AskedContext {
  readonly passages: readonly ContextPassage[];
  /** What was asked and answered before the lead, oldest first. */
  readonly history?: readonly HistoryTurn[];
  /** The lead first. `index` is the question's number in the data set. */
  readonly questions: readonly AskedOne[];
  /** Whether the lead's answer is that it isn't known. */
  readonly isUnknown?: boolean;
}

interface AskedOne {
  readonly index: number;
  readonly question: string;
  readonly answer: string;
  readonly evidence?: string;
}

export interface GeneratorExamplesOptions {
  readonly seed: number;
  readonly questions: readonly GeneratorQuestion[];
  /**
   * Rows of the passages a question is asked about, best first: its gold passage, or what a retriever found. The same for the whole phase.
   */
  readonly contexts: (question: number) => readonly number[];
  readonly passage: (row: number) => Pick<Passage, "title" | "text">;
  /** Most questions about one context, the lead included. */
  readonly questionsPerContext: number;
  /** Which others: those that any passage of the context answers, or those that the lead's own passage answers. Default `context`. */
  readonly otherQuestions?: "context" | "passage";
  /** Share of the contexts that get the lead's gold passage in the last place if it is missing. */
  readonly keepGold?: number;
  /** Share of the contexts that lose every passage which answers the lead. */
  readonly dropGold?: number;
  /** Rows that take the places of dropped passages, best first; those that answer are passed over. Default: none, and the context shrinks. */
  readonly distractors?: (question: number, step: number) => Iterable<number>;
  /** The lead's answer where no passage of its context answers. undefined: its own answer, whatever the context holds. */
  readonly unknownAnswer?: string | undefined;
  /** Share of the contexts whose passages are shuffled instead of best first. */
  readonly shufflePassages?: number;
  /** Share of the contexts that are cut to some of their first passages, the gold one among them if it was there: a generator that always read k passages reads fewer badly. */
  readonly varyPassages?: number;
  /** Short contexts first; for gold contexts. Left out: whole passages in their order. */
  readonly curriculum?: Curriculum | undefined;
  /** Steps of the generator in the whole schedule; the curriculum runs over a share of them. */
  readonly totalSteps: number;
  /** Changes passages and questions together, e.g. renames entities. A pure function of its arguments. */
  readonly transform?: ((context: AskedContext, step: number) => AskedContext) | undefined;
  /** Shortens the context for its lead, as asking does. After the transform: it sees what asking would see. */
  readonly filter?: ContextFilter | undefined;
}

/** Which passages, and how much of them, a question is shown. */
export type ContextFilter = (passages: readonly ContextPassage[], question: string) => readonly ContextPassage[];

export interface GeneratorExamples {
  /** What is answered where no passage answers; undefined: nothing special. */
  readonly unknownAnswer?: string | undefined;
  /** Number of examples: of questions. */
  readonly size: number;
  /** Example `lead` as it is at step `step`. */
  at(lead: number, step: number): AskedContext;
  /** Share of a whole passage that is shown at a step, 0 … 1: for estimates of lengths. */
  shareShown(sentences: number, step: number): number;
}

/** @throws UserError if there is no question, or a question has no context */
export function generatorExamples(options: GeneratorExamplesOptions): GeneratorExamples {
  const { questions, curriculum } = options;
  if (questions.length === 0) throw fault("there are no training questions", "at least one", "none");
  for (const [index, question] of questions.entries()) {
    if (options.contexts(index).length === 0 && question.goldRows.length === 0) {
      throw fault(`question ${index + 1} has no context: ${JSON.stringify(question.question)}`, "a gold passage or retrieved ones", "none");
    }
  }
  const byRow = questionsByGoldRow(questions);
  const growth = (step: number): number => (curriculum === undefined ? 1 : growthAt(curriculum, step, options.totalSteps));
  return {
    unknownAnswer: options.unknownAnswer,
    size: questions.length,
    shareShown(sentences, step) {
      return curriculum === undefined || sentences === 0 ? 1 : sentencesShown(curriculum, sentences, growth(step)) / sentences;
    },
    at(lead, step) {
      const rows = contextRows(options, lead, step);
      const asked = askedAbout(options, byRow, rows, lead, step);
      const history = questions[lead]?.history;
      const passages = rows.map((row) => ({ row, ...pick(options.passage(row)) }));
      const whole: AskedContext = { passages, questions: asked, ...(history === undefined ? {} : { history }) };
      const context = options.transform?.(whole, step) ?? whole;
      return narrowed(options, taught(options, filtered(options, context), lead), growth(step), lead, step);
    },
  };
}

function filtered({ filter }: GeneratorExamplesOptions, context: AskedContext): AskedContext {
  const [lead] = context.questions;
  return filter === undefined || lead === undefined ? context : { ...context, passages: filter(context.passages, lead.question) };
}

/** With the answer that is taught: the lead's own, or where no passage answers the one that says so. */
function taught(options: GeneratorExamplesOptions, context: AskedContext, lead: number): AskedContext {
  const { unknownAnswer } = options;
  const [first, ...others] = context.questions;
  if (unknownAnswer === undefined || first === undefined) return context;
  const sought = soughtBy(options, lead);
  if (isAnswerable(context.passages, [first.answer, ...sought.answers], sought, options.passage)) return context;
  return { ...context, questions: [{ ...first, answer: unknownAnswer }, ...others], isUnknown: true };
}

function soughtBy({ questions }: GeneratorExamplesOptions, lead: number): Sought {
  const { goldRows = [], answer = "", answers = [answer] } = questions[lead] ?? {};
  return { goldRows, answers };
}

function isDropped({ seed, dropGold = 0 }: GeneratorExamplesOptions, lead: number, step: number): boolean {
  return uniform(seed, step, lead, 0x64726f) < dropGold;
}

function pick(passage: Pick<Passage, "title" | "text">): Pick<Passage, "title" | "text"> {
  return { title: passage.title, text: passage.text };
}

function contextRows(options: GeneratorExamplesOptions, lead: number, step: number): readonly number[] {
  const rows = isDropped(options, lead, step) ? dropped(options, lead, step) : withGold(options, lead, step);
  const isShuffled = uniform(options.seed, step, lead, 0x736875) < (options.shufflePassages ?? 0);
  const ordered = isShuffled ? shuffled([...rows], [options.seed, step, lead, 0x706173]) : rows;
  if (uniform(options.seed, step, lead, 0x766172) >= (options.varyPassages ?? 0)) return ordered;
  const fewest = 1 + Math.max(0, answering(options, ordered, lead));
  return fewest < ordered.length
    ? ordered.slice(0, fewest + integerBelow(ordered.length - fewest, options.seed, step, lead, 0x637574))
    : ordered;
}

/** The place of the gold passage, or, where the question has none, of the first that holds the answer: a context that lost it would teach to answer without evidence. -1: there is none. */
function answering(options: GeneratorExamplesOptions, rows: readonly number[], lead: number): number {
  const { goldRows = [], answer = "" } = options.questions[lead] ?? {};
  if (goldRows.length > 0) return rows.findIndex((row) => goldRows.includes(row));
  return rows.findIndex((row) => holds(options.passage(row).text, answer));
}

function dropped(options: GeneratorExamplesOptions, lead: number, step: number): readonly number[] {
  const found = options.contexts(lead);
  const rows = found.length > 0 ? found : (options.questions[lead]?.goldRows ?? []).slice(0, 1);
  return withoutEvidence(rows, options.distractors?.(lead, step) ?? [], soughtBy(options, lead), options.passage);
}

function withGold(options: GeneratorExamplesOptions, lead: number, step: number): readonly number[] {
  const rows = options.contexts(lead);
  const gold = options.questions[lead]?.goldRows ?? [];
  if (rows.length === 0) return gold.slice(0, 1);
  const first = gold[0];
  if (first === undefined || gold.some((row) => rows.includes(row))) return rows;
  return uniform(options.seed, step, lead, 0x676f6c) < (options.keepGold ?? 0) ? [...rows.slice(0, -1), first] : rows;
}

/** The lead, and all other questions whose gold passage is in the context (or is the lead's too), in an order of this step. */
function askedAbout(
  options: GeneratorExamplesOptions,
  byRow: ReadonlyMap<number, readonly number[]>,
  rows: readonly number[],
  lead: number,
  step: number,
): AskedOne[] {
  const gold = options.questions[lead]?.goldRows ?? [];
  const counted = options.otherQuestions === "passage" ? rows.filter((row) => gold.includes(row)) : rows;
  const isFollowUp = (index: number): boolean => (options.questions[index]?.history ?? []).length > 0;
  const isShared = options.questionsPerContext > 1 && !isFollowUp(lead);
  const others = new Set(isShared ? counted.flatMap((row) => byRow.get(row) ?? []).filter((index) => !isFollowUp(index)) : []);
  others.delete(lead);
  return [lead, ...shuffled([...others], [options.seed, step, lead, 0x6f7468])].flatMap((index) => {
    const asked = options.questions[index];
    if (asked === undefined) return [];
    const { question, answer, evidence } = asked;
    return [{ index, question, answer, ...(evidence === undefined ? {} : { evidence }) }];
  });
}

/** Cuts the context to what the curriculum shows, and the questions to those it still answers, as many as are wanted. */
function narrowed(options: GeneratorExamplesOptions, context: AskedContext, growth: number, lead: number, step: number): AskedContext {
  const { curriculum } = options;
  const [first, ...others] = context.questions;
  if (first === undefined) throw new Error("the transform dropped the lead question");
  // A context without evidence grows like the others: by its length nobody may know it.
  const needed = context.isUnknown === true || isDropped(options, lead, step) ? undefined : first;
  const passages =
    curriculum === undefined
      ? context.passages
      : context.passages.map((passage, rank) => ({
          ...passage,
          text: shownText(curriculum, passage.text, needed, growth, [options.seed, step, lead, rank]),
        }));
  const answered = others.filter((question) => passages.some((passage) => showsEvidence(passage.text, question)));
  return { ...context, passages, questions: [first, ...answered.slice(0, options.questionsPerContext - 1)] };
}

function questionsByGoldRow(questions: readonly GeneratorQuestion[]): Map<number, number[]> {
  const byRow = new Map<number, number[]>();
  for (const [index, { goldRows }] of questions.entries()) {
    for (const row of goldRows) {
      const list = byRow.get(row);
      if (list === undefined) byRow.set(row, [index]);
      else list.push(index);
    }
  }
  return byRow;
}

function fault(what: string, expected: string, got: string): UserError {
  return new UserError({ where: "generator training", what, expected, got, remedy: "check data.questions.train and its gold passages" });
}
