/**
 * How many tokens a training prompt will have, about: what batches are planned by, before any prompt is built. It builds none, and nothing is cut by it. The traps: an estimate that is too low makes a
 * batch that no memory was planned for, one that is too high a batch that is half empty; and earlier turns count only where the template shows them.
 */
import type { PromptConfig, TandemConfig } from "../../config/schema.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { HistoryTurn, Question } from "../../corpus/question.js";
import { renderTurn } from "../../generation/prompt-template.js";
import { splitSentences } from "../../text/sentence-split.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import type { GeneratorExamples, GeneratorQuestion } from "../../training/generator-examples.js";

/** Sentences of a passage, about: all that a curriculum's estimate needs. */
const SENTENCES = 4;
/** Tokens around a passage, around a question with its answer, and of a whole prompt without passages. */
const [AROUND_PASSAGE, AROUND_TURN, AROUND_CLOSED] = [4, 6, 8];

export interface PromptLengthParts {
  readonly config: Pick<TandemConfig, "prompt" | "train">;
  readonly store: Pick<PassageStore, "field">;
  readonly questions: readonly Question[];
  /** Rows of each question's gold passages. */
  readonly goldRows: readonly (readonly number[])[];
  /** The generator's. */
  readonly tokenizer: Tokenizer;
}

/** Lengths of the prompts of a data set; each text is measured once. */
export class PromptLengths {
  readonly #parts: PromptLengthParts;
  readonly #lengths = new Map<string, number>();
  readonly #sentences = new Map<number, number>();
  /** How many questions that may share a context have a row as a gold passage. */
  readonly #askedOf = new Map<number, number>();

  constructor(parts: PromptLengthParts) {
    this.#parts = parts;
    for (const [question, rows] of parts.goldRows.entries()) {
      if ((parts.questions[question]?.history ?? []).length > 0) continue;
      for (const row of rows) this.#askedOf.set(row, (this.#askedOf.get(row) ?? 0) + 1);
    }
  }

  /** A context of `rows` with the questions that will be asked about it and the turns before the first. */
  open(examples: GeneratorExamples, question: number, step: number, rows: readonly number[]): number {
    const { store, questions, config } = this.#parts;
    const share = examples.shareShown(SENTENCES, step);
    const shown = rows.reduce((sum, row) => sum + this.#tokens(store.field(row, "text")) * share + AROUND_PASSAGE, 0);
    const { sentences, tokens } = config.prompt.sentence_filter;
    const filtered = Math.min(shown * Math.min(1, (sentences ?? Infinity) / (SENTENCES * rows.length)), tokens ?? Infinity);
    const asked = questions[question];
    // Of the other questions a shortened context still answers about its share.
    const turns = 1 + Math.min(config.train.generator.questions_per_context - 1, this.#others(question, rows) * share);
    return Math.ceil(filtered + turns * this.#turn(asked) + this.#history(config.prompt.template, asked?.history));
  }

  /**
   * A question about one passage that is asked for its own words, with others about it.
   *
   * @param asked how many questions ask about the passage, this one included
   */
  copying(examples: GeneratorExamples, question: GeneratorQuestion | undefined, step: number, asked: number): number {
    const { goldRows: [row = 0] = [], question: text = "", answer = "" } = question ?? {};
    const whole = this.#parts.store.field(row, "text");
    // Passage and questions both shrink by this share: a rule of thumb for it would be wrong twice.
    const share = examples.shareShown(this.#sentencesOf(row, whole), step);
    const passage = this.#tokens(whole) * share;
    const turn = this.#tokens(text) + this.#tokens(answer) + AROUND_TURN;
    const turns = 1 + Math.min(this.#parts.config.train.generator.questions_per_context - 1, Math.max(0, asked - 1) * share);
    return Math.ceil(passage + AROUND_PASSAGE + turns * turn);
  }

  /** A question without passages, with the turns before it. */
  closed(question: Question | undefined): number {
    const { question: text = "", answers: [answer = ""] = [], history } = question ?? {};
    return (
      this.#tokens(text) + this.#tokens(answer) + AROUND_CLOSED + this.#history(this.#parts.config.prompt.closed_book_template, history)
    );
  }

  /** Other questions about the context. A follow-up has none: the others weren't asked then. */
  #others(question: number, rows: readonly number[]): number {
    const { questions, goldRows, config } = this.#parts;
    if ((questions[question]?.history ?? []).length > 0) return 0;
    const gold = goldRows[question] ?? [];
    const asking = config.train.generator.other_questions === "passage" ? rows.filter((row) => gold.includes(row)) : rows;
    return Math.max(0, asking.reduce((sum, row) => sum + (this.#askedOf.get(row) ?? 0), 0) - 1);
  }

  #turn(question: Question | undefined): number {
    const { question: text = "", answers: [answer = ""] = [] } = question ?? {};
    return this.#tokens(text) + this.#tokens(answer) + AROUND_TURN;
  }

  /** The latest turns that fit their share of the prompt, as prompt.ts shows them. */
  #history(template: PromptConfig["template"], history: readonly HistoryTurn[] = []): number {
    const { history_template: format, history_tokens: most } = this.#parts.config.prompt;
    if (!template.includes("{history}")) return 0;
    let shown = 0;
    for (const turn of history.toReversed()) {
      const longer = shown + this.#tokens(renderTurn(turn, format));
      if (longer > most) break;
      shown = longer;
    }
    return shown;
  }

  #sentencesOf(row: number, text: string): number {
    const count = this.#sentences.get(row) ?? splitSentences(text).length;
    this.#sentences.set(row, count);
    return count;
  }

  #tokens(text: string): number {
    let length = this.#lengths.get(text);
    if (length === undefined) {
      length = this.#parts.tokenizer.encode(text, { specialTokens: false }).length;
      this.#lengths.set(text, length);
    }
    return length;
  }
}
