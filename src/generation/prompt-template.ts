/**
 * The template of a prompt: what stands where, before anything is a token. It is parsed once and rendered for each question into pieces of text, which prompt.ts tokenises one by one and joins. It
 * counts no tokens. The trap: white space at the end of a piece is moved to the start of the next (" Paris" is one token of a byte-level BPE, "Paris" after a lone space another), so a name reads
 * the same wherever it stands.
 */
import type { HistoryTurn } from "../corpus/question.js";
import { UserError } from "../errors.js";

/** How a prompt looks. */
export interface PromptFormat {
  /**
   * Text with `{question}` once, `{context}` and `{history}` at most once, and the names of {@link PromptFormat.variables} as often as wanted. Everything after `{context}` is repeated when several
   * questions share it, but for the history.
   */
  readonly template: string;
  /** How a passage is shown: `{title}` and `{text}`. */
  readonly passageTemplate: string;
  /** Between two passages. */
  readonly separator: string;
  /** Between the answer cue and the answer. */
  readonly answerPrefix: string;
  /** Texts of one's own: `{style}` in the template stands for `variables.style`. */
  readonly variables?: Readonly<Record<string, string>>;
  /** How an earlier question with its answer is shown: `{question}` and `{answer}`. Default `Q: {question}\nA: {answer}\n`. */
  readonly historyTemplate?: string;
  /** The history's share of the budget, in tokens; the oldest turns are left out. Default 128. */
  readonly historyTokens?: number;
}

const DEFAULT_HISTORY_TEMPLATE = "Q: {question}\nA: {answer}\n";

/** A stretch of the template. */
type Part = { readonly kind: "literal"; readonly text: string } | { readonly kind: "question" } | { readonly kind: "history" };

/** A template, taken apart. */
export interface Layout {
  readonly before: readonly Part[];
  /** From the end of the context to the answer cue; the whole template when it has no context. */
  readonly turn: readonly Part[];
  readonly hasContext: boolean;
  readonly hasHistory: boolean;
  readonly questionBefore: boolean;
}

/** Pieces of text, and the white space that belongs to what follows them. */
export interface Rendered {
  readonly pieces: readonly string[];
  readonly space: string;
}

/** @throws UserError naming `where` for a place that isn't known or stands too often, or a missing question */
export function parseTemplate(format: PromptFormat, where = "prompt.template"): Layout {
  const { template, variables = {} } = format;
  const pieces = template.split(/(\{[^{}]*\})/);
  const places = pieces.filter((_, index) => index % 2 === 1).map((place) => place.slice(1, -1));
  const own = Object.keys(variables);
  const count = (name: string): number => places.filter((place) => place === name).length;
  const isKnown = (place: string): boolean => ["question", "context", "history", ...own].includes(place);
  if (!places.every(isKnown) || count("question") !== 1 || count("context") > 1 || count("history") > 1) {
    throw new UserError({
      where,
      what: "the prompt template is wrong",
      expected: `{question} once, {context} and {history} at most once${own.length === 0 ? "" : `, and ${own.map((name) => `{${name}}`).join(", ")}`}`,
      got: JSON.stringify(template),
    });
  }
  const parts = pieces.map((piece, index) => (index % 2 === 0 ? ({ kind: "literal", text: piece } as const) : placeOf(piece, variables)));
  const context = pieces.indexOf("{context}");
  const before = context < 0 ? [] : parts.slice(0, context);
  return {
    before: before.filter((part) => part !== undefined),
    turn: parts.slice(context + 1).filter((part) => part !== undefined),
    hasContext: context >= 0,
    hasHistory: count("history") === 1,
    questionBefore: before.some((part) => part?.kind === "question"),
  };
}

function placeOf(piece: string, variables: Readonly<Record<string, string>>): Part | undefined {
  const name = piece.slice(1, -1);
  if (name === "question" || name === "history") return { kind: name };
  return name === "context" ? undefined : { kind: "literal", text: variables[name] ?? "" };
}

/** The pieces of some parts, for a question after some turns. */
export function renderParts(parts: readonly Part[], question: string, history: readonly HistoryTurn[], format: PromptFormat): Rendered {
  const pieces: string[] = [];
  let space = "";
  const write = (text: string): void => {
    const body = (space + text).trimEnd();
    space = (space + text).slice(body.length);
    if (body !== "") pieces.push(body);
  };
  for (const part of parts) {
    if (part.kind === "literal") write(part.text);
    else if (part.kind === "history") for (const turn of history) write(renderTurn(turn, format.historyTemplate));
    else {
      pieces.push(space + question.trim());
      space = "";
    }
  }
  return { pieces, space };
}

/** An earlier question with its answer, as a template shows it. */
export function renderTurn(turn: HistoryTurn, template = DEFAULT_HISTORY_TEMPLATE): string {
  return template.replace(/\{(question|answer)\}/g, (_, name: "question" | "answer") => turn[name].trim());
}
