/**
 * The one prompt builder: training, validation and asking all go through it, so that a model is asked in the very tokens it was taught in. It
 * knows nothing of batches, padding or decoding.
 * The budget is counted in tokens: passages are cut at their end or dropped, last rank first; the question, the answer and the answer cue are never cut.
 * The trap: pieces are tokenised one by one and joined. So white space at the end of a piece is moved to the start of the next (" Paris" is one
 * token of a byte-level BPE, "Paris" after a lone space another), and so a name reads the same wherever it stands.
 */
import { passageText, type Passage } from "../corpus/passage.js";
import { UserError } from "../errors.js";
import type { Tokenizer } from "../text/tokenizer.js";

/** How a prompt looks. */
export interface PromptFormat {
  /** Text with `{question}` once and `{context}` at most once. Everything after `{context}` is repeated when several questions share it. */
  readonly template: string;
  /** How a passage is shown: `{title}` and `{text}`. */
  readonly passageTemplate: string;
  /** Between two passages. */
  readonly separator: string;
  /** Between the answer cue and the answer. */
  readonly answerPrefix: string;
}

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
}

export interface Prompt {
  /** Ends with the answer cue; what the model writes next is the answer. */
  readonly ids: Int32Array;
  /** How many of the passages are shown, the cut one included. */
  readonly passagesShown: number;
  /** Tokens of passages that had no room. */
  readonly tokensCut: number;
}

export interface TrainingItem {
  readonly passages: readonly ShownPassage[];
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

/**
 * Prompts that end with the answer cue, at most `maxTokens` long.
 * @throws UserError if the template is wrong, or if a question alone doesn't fit
 */
export function buildPrompts(tokenizer: Tokenizer, format: PromptFormat, items: readonly PromptItem[], maxTokens: number): Prompt[] {
  const layout = parseTemplate(format);
  return assembleAll(tokenizer, format, layout, items, (item, encode) => {
    const fixed = { before: encode(layout.before, item.question), turns: [{ asked: encode(layout.turn, item.question), answer: [] }] };
    return { fixed, maxTokens, question: item.question };
  });
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
  return assembleAll(tokenizer, format, layout, items, (item, encode) => {
    const first = item.questions[0];
    if (first === undefined) throw fault("a training example has no question", "at least one", "none");
    if (item.questions.length > 1 && layout.questionBefore) {
      throw fault("several questions can't share a context that follows the question", "{question} after {context}", format.template);
    }
    const turns = item.questions.map(({ question, answer }) => {
      if (answer.trim() === "") throw fault(`the answer to ${JSON.stringify(question)} is empty`, "an answer", JSON.stringify(answer));
      return { asked: encode(layout.turn, question), answer: [layout.cueSpace + format.answerPrefix + answer.trim()] };
    });
    return { fixed: { before: encode(layout.before, first.question), turns }, maxTokens, question: first.question, eosId };
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

/** A stretch of the template: literal text, or a place for the question with the white space that belongs before it. */
type Part = { readonly literal: string } | { readonly lead: string };

interface Layout {
  readonly before: readonly Part[];
  readonly turn: readonly Part[];
  readonly hasContext: boolean;
  readonly questionBefore: boolean;
  /** White space that stood before `{context}`. */
  readonly contextLead: string;
  /** White space that ended the template; it goes before the answer. */
  readonly cueSpace: string;
}

function parseTemplate(format: PromptFormat, where = "prompt.template"): Layout {
  const pieces = format.template.split(/(\{[^{}]*\})/);
  const places = pieces.filter((_, index) => index % 2 === 1);
  const unknown = places.find((place) => place !== "{question}" && place !== "{context}");
  const questions = places.filter((place) => place === "{question}").length;
  if (unknown !== undefined || questions !== 1 || places.length - questions > 1) {
    throw fault("the prompt template is wrong", "{question} once and {context} at most once", JSON.stringify(format.template), where);
  }
  const before: Part[] = [];
  const turn: Part[] = [];
  const hasContext = places.includes("{context}");
  let into = hasContext ? before : turn;
  let space = "";
  let contextLead = "";
  for (const piece of pieces) {
    if (piece === "{context}") {
      contextLead = space;
      into = turn;
      space = "";
    } else if (piece === "{question}") {
      into.push({ lead: space });
      space = "";
    } else if (piece !== "") {
      const body = (space + piece).trimEnd();
      space = (space + piece).slice(body.length);
      if (body !== "") into.push({ literal: body });
    }
  }
  const questionBefore = before.some((part) => "lead" in part);
  return { before, turn, hasContext, questionBefore, contextLead, cueSpace: space };
}

type Encode = (parts: readonly Part[], question: string) => string[];

interface Turn {
  /** Everything from the end of the context to the answer cue, as pieces of text. */
  readonly asked: readonly string[];
  /** The answer, or nothing when asking. */
  readonly answer: readonly string[];
}

interface Plan {
  readonly fixed: { readonly before: readonly string[]; readonly turns: readonly Turn[] };
  readonly maxTokens: number;
  /** For messages. */
  readonly question: string;
  readonly eosId?: number;
}

/** Lays out every item as pieces of text, encodes all pieces of all items in one call, and joins them under the budget. */
function assembleAll<Item extends { readonly passages: readonly ShownPassage[] }>(
  tokenizer: Tokenizer,
  format: PromptFormat,
  layout: Layout,
  items: readonly Item[],
  planOf: (item: Item, encode: Encode) => Plan,
): TrainingPrompt[] {
  const encode: Encode = (parts, question) => parts.map((part) => ("literal" in part ? part.literal : part.lead + question.trim()));
  const plans = items.map((item) => planOf(item, encode));
  const shown = items.map((item) => (layout.hasContext ? passagePieces(format, layout, item.passages) : []));
  const texts = plans.flatMap((plan, index) => [...piecesOf(plan), ...(shown[index] ?? [])]);
  const distinct = [...new Set(texts)];
  const encoded = tokenizer.encodeBatch(distinct, { specialTokens: false });
  const idsOf = new Map(distinct.map((text, index) => [text, encoded[index] ?? new Int32Array(0)]));
  const join = (list: readonly string[]): number[] => list.flatMap((text) => Array.from(idsOf.get(text) ?? []));
  return plans.map((plan, index) =>
    assemble(
      plan,
      (shown[index] ?? []).map((text) => join([text])),
      join,
    ),
  );
}

function piecesOf(plan: Plan): string[] {
  return [...plan.fixed.before, ...plan.fixed.turns.flatMap((turn) => [...turn.asked, ...turn.answer])];
}

function passagePieces(format: PromptFormat, layout: Layout, passages: readonly ShownPassage[]): string[] {
  return passages.map((passage, rank) => {
    const text = passageText(passage, format.passageTemplate).trim();
    return (rank === 0 ? layout.contextLead : format.separator) + text;
  });
}

function assemble(plan: Plan, passages: readonly number[][], join: (pieces: readonly string[]) => number[]): TrainingPrompt {
  const end = plan.eosId === undefined ? [] : [plan.eosId];
  const before = join(plan.fixed.before);
  let turns = plan.fixed.turns.map((turn) => ({ asked: join(turn.asked), answer: [...join(turn.answer), ...end] }));
  const length = (): number => before.length + turns.reduce((sum, turn) => sum + turn.asked.length + turn.answer.length, 0);
  const context = passages.reduce((sum, ids) => sum + ids.length, 0);
  while (turns.length > 1 && length() + context > plan.maxTokens) turns = turns.slice(0, -1);
  if (length() > plan.maxTokens) {
    throw fault(
      `the question ${JSON.stringify(shorten(plan.question))} doesn't fit the prompt without any passage`,
      `at most ${plan.maxTokens} tokens`,
      `${length()}`,
    );
  }
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
    answers,
    context: { start: before.length, end: before.length + fitted.ids.length },
  };
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
