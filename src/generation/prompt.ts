/**
 * The one prompt builder: training, validation and asking all go through it, so that a model is asked in the very tokens it was taught in. What stands where is prompt-template.ts's. It knows nothing
 * of batches, padding or decoding.
 * The budget is counted in tokens. The question, the answer and the answer cue are never cut; earlier turns have a share of their own and are left out from the oldest; passages get what is left and
 * are cut at their end or dropped, last rank first.
 * The trap: pieces are tokenised one by one and joined, so what belongs to one piece is decided before anything is a token.
 */
import { passageText, type Passage } from "../corpus/passage.js";
import type { HistoryTurn } from "../corpus/question.js";
import { UserError } from "../errors.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { parseTemplate, renderParts, type Layout, type PromptFormat } from "./prompt-template.js";

export type { PromptFormat } from "./prompt-template.js";

/** A space, not a line break, after `Context:`: the first name then has the same tokens as its later mentions. */
export const DEFAULT_PROMPT_FORMAT: PromptFormat = {
  template: "Context: {context}\nQ: {question}\nA:",
  passageTemplate: "{title}. {text}",
  separator: " ",
  answerPrefix: " ",
};

type ShownPassage = Pick<Passage, "title" | "text">;

export interface PromptItem {
  readonly question: string;
  /** Best first. None: the context stays empty. */
  readonly passages: readonly ShownPassage[];
  /** What was asked and answered before, oldest first. Left out by a template without `{history}`. */
  readonly history?: readonly HistoryTurn[];
}

export interface Prompt {
  /** Ends with the answer cue; what the model writes next is the answer. */
  readonly ids: Int32Array;
  /** How many of the passages are shown, the cut one included. */
  readonly passagesShown: number;
  /** Tokens of passages that had no room. */
  readonly tokensCut: number;
  /** How many of the earlier turns are shown, the latest ones. */
  readonly turnsShown: number;
}

export interface TrainingItem {
  readonly passages: readonly ShownPassage[];
  /** What was asked and answered before the first question, oldest first. */
  readonly history?: readonly HistoryTurn[];
  /** Questions about this context. The later ones are left out when the budget would cut the context for them. */
  readonly questions: readonly { readonly question: string; readonly answer: string }[];
}

export interface TrainingPrompt extends Prompt {
  /** For each question that is asked, in order: its answer's tokens and one end-of-text token are `ids[start … end)`. */
  readonly answers: readonly { readonly start: number; readonly end: number }[];
  /** The context is `ids[start … end)`. */
  readonly context: { readonly start: number; readonly end: number };
}

/** A cut passage of fewer tokens than this is dropped instead, unless it is the first. */
const LEAST_CUT = 8;

/** Tokens that earlier turns may take unless the format says otherwise. */
const HISTORY_TOKENS = 128;

/**
 * Prompts that end with the answer cue, at most `maxTokens` long.
 * @throws UserError if the template is wrong, or if a question alone doesn't fit
 */
export function buildPrompts(tokenizer: Tokenizer, format: PromptFormat, items: readonly PromptItem[], maxTokens: number): Prompt[] {
  const layout = parseTemplate(format);
  return assembleAll(tokenizer, format, items, (item) => ({
    variants: variantsOf(item.history ?? [], layout, format.historyTokens ?? HISTORY_TOKENS, (history) =>
      variant(format, layout, item, history, [{ question: item.question }]),
    ),
    maxTokens,
    question: item.question,
  }));
}

/** {@link buildPrompts} for one question. */
export function buildPrompt(tokenizer: Tokenizer, format: PromptFormat, item: PromptItem, maxTokens: number): Prompt {
  const [prompt] = buildPrompts(tokenizer, format, [item], maxTokens);
  if (prompt === undefined) throw new Error("buildPrompts made no prompt for one item");
  return prompt;
}

/**
 * Prompts with their answers, each answer followed by one `eosId`: `Context: … Q: … A: … Q: … A: …`. At most `maxTokens` long, answers included.
 * @throws UserError if the template is wrong, if an answer is empty, or if the first question with its answer doesn't fit
 */
export function buildTrainingPrompts(
  tokenizer: Tokenizer,
  format: PromptFormat,
  items: readonly TrainingItem[],
  maxTokens: number,
  eosId: number,
): TrainingPrompt[] {
  const layout = parseTemplate(format);
  return assembleAll(tokenizer, format, items, (item) => {
    const first = item.questions[0];
    if (first === undefined) throw fault("a training example has no question", "at least one", "none");
    if (item.questions.length > 1 && layout.questionBefore) {
      throw fault("several questions can't share a context that follows the question", "{question} after {context}", format.template);
    }
    for (const { question, answer } of item.questions)
      if (answer.trim() === "") throw fault(`the answer to ${JSON.stringify(question)} is empty`, "an answer", JSON.stringify(answer));
    const variants = variantsOf(item.history ?? [], layout, format.historyTokens ?? HISTORY_TOKENS, (history) =>
      variant(format, layout, item, history, item.questions),
    );
    return { variants, maxTokens, question: first.question, eosId };
  });
}

/**
 * Refuses a prompt format that can't work.
 * @param where the config key, for the message
 * @throws UserError
 */
export function checkPromptFormat(format: PromptFormat, where = "prompt.template"): void {
  parseTemplate(format, where);
}

interface Turn {
  /** Everything from the end of the context to the answer cue, as pieces of text. */
  readonly asked: readonly string[];
  /** The answer, or nothing when asking. */
  readonly answer: readonly string[];
}

/** A prompt's pieces with some of its earlier turns. */
interface Variant {
  readonly before: readonly string[];
  readonly passages: readonly string[];
  readonly turns: readonly Turn[];
  /** Earlier turns that are shown. */
  readonly history: number;
}

interface Plan {
  /** With all earlier turns first, without any last. */
  readonly variants: readonly Variant[];
  readonly maxTokens: number;
  /** For messages. */
  readonly question: string;
  readonly eosId?: number;
}

function variantsOf(
  history: readonly HistoryTurn[],
  layout: Layout,
  most: number,
  make: (history: readonly HistoryTurn[]) => Variant,
): Variant[] {
  if (!layout.hasHistory || history.length === 0) return [make([])];
  // A turn is a token at least: of more turns than tokens the oldest can't be shown.
  const latest = history.slice(Math.max(0, history.length - most));
  return Array.from({ length: latest.length + 1 }, (_, oldest) => make(latest.slice(oldest)));
}

/** The pieces of one prompt. Only its first question stands after the history. */
function variant(
  format: PromptFormat,
  layout: Layout,
  item: { readonly passages: readonly ShownPassage[] },
  history: readonly HistoryTurn[],
  questions: readonly { readonly question: string; readonly answer?: string }[],
): Variant {
  const before = renderParts(layout.before, questions[0]?.question ?? "", history, format);
  const turns = questions.map(({ question, answer }, i) => {
    const { pieces, space } = renderParts(layout.turn, question, i === 0 ? history : [], format);
    return { asked: pieces, answer: answer === undefined ? [] : [space + format.answerPrefix + answer.trim()] };
  });
  const passages = layout.hasContext ? passagePieces(format, before.space, item.passages) : [];
  return { before: before.pieces, passages, turns, history: history.length };
}

/** Lays out every item as pieces of text, encodes all pieces of all items in one call, and joins them under the budget. */
function assembleAll<Item>(
  tokenizer: Tokenizer,
  format: PromptFormat,
  items: readonly Item[],
  planOf: (item: Item) => Plan,
): TrainingPrompt[] {
  const plans = items.map(planOf);
  const distinct = [...new Set(plans.flatMap(({ variants }) => variants.flatMap(piecesOf)))];
  const encoded = tokenizer.encodeBatch(distinct, { specialTokens: false });
  const idsOf = new Map(distinct.map((text, index) => [text, encoded[index] ?? new Int32Array(0)]));
  const join = (list: readonly string[]): number[] => list.flatMap((text) => Array.from(idsOf.get(text) ?? []));
  return plans.map((plan) => assemble(plan, format.historyTokens ?? HISTORY_TOKENS, join));
}

function piecesOf({ before, passages, turns }: Variant): string[] {
  return [...before, ...passages, ...turns.flatMap((turn) => [...turn.asked, ...turn.answer])];
}

function passagePieces(format: PromptFormat, lead: string, passages: readonly ShownPassage[]): string[] {
  return passages.map((passage, rank) => (rank === 0 ? lead : format.separator) + passageText(passage, format.passageTemplate).trim());
}

type Join = (pieces: readonly string[]) => number[];

function assemble(plan: Plan, historyTokens: number, join: Join): TrainingPrompt {
  const end = plan.eosId === undefined ? [] : [plan.eosId];
  const encodedTurn = (turn: Turn): { asked: number[]; answer: number[] } => ({
    asked: join(turn.asked),
    answer: [...join(turn.answer), ...end],
  });
  const chosen = withinBudget(plan, historyTokens, join, end.length);
  const passages = chosen.passages.map((text) => join([text]));
  const before = join(chosen.before);
  let turns = chosen.turns.map(encodedTurn);
  const length = (): number => before.length + turns.reduce((sum, turn) => sum + turn.asked.length + turn.answer.length, 0);
  const context = passages.reduce((sum, ids) => sum + ids.length, 0);
  while (turns.length > 1 && length() + context > plan.maxTokens) turns = turns.slice(0, -1);
  const fitted = fitPassages(passages, plan.maxTokens - length());
  const ids: number[] = [...before, ...fitted.ids];
  const answers = turns.map((turn) => {
    ids.push(...turn.asked);
    const start = ids.length;
    ids.push(...turn.answer);
    return { start, end: ids.length };
  });
  return {
    ids: Int32Array.from(ids),
    passagesShown: fitted.shown,
    tokensCut: context - fitted.ids.length,
    turnsShown: chosen.history,
    answers,
    context: { start: before.length, end: before.length + fitted.ids.length },
  };
}

/**
 * The variant with the most earlier turns that fit their share and leave the first question its room.
 *
 * @throws UserError when the first question doesn't fit without any
 */
function withinBudget({ variants, maxTokens, question }: Plan, historyTokens: number, join: Join, end: number): Variant {
  const lengthOf = ({ before, turns: [first] }: Variant): number =>
    join([...before, ...(first?.asked ?? []), ...(first?.answer ?? [])]).length + end;
  const bare = variants.at(-1);
  if (bare === undefined) throw new Error("a prompt has no variant");
  const least = lengthOf(bare);
  if (least > maxTokens)
    throw fault(
      `the question ${JSON.stringify(shorten(question))} doesn't fit the prompt without any passage`,
      `at most ${maxTokens} tokens`,
      `${least}`,
    );
  return variants.find((own) => lengthOf(own) <= Math.min(maxTokens, least + historyTokens)) ?? bare;
}

/** Passages in order of rank while there is room; the first that doesn't fit is cut at its end and ends the context. */
function fitPassages(passages: readonly number[][], room: number): { ids: number[]; shown: number } {
  const ids: number[] = [];
  let shown = 0;
  for (const passage of passages) {
    const left = room - ids.length;
    if (passage.length > left && left < (shown === 0 ? 1 : LEAST_CUT)) break;
    ids.push(...passage.slice(0, left));
    shown += 1;
    if (passage.length > left) break;
  }
  return { ids, shown };
}

function shorten(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}

function fault(what: string, expected: string, got: string, where = "prompt"): UserError {
  return new UserError({ where, what, expected, got });
}
