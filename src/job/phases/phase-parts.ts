/** What every phase of a run is made of. It is handed over whole, so that no maker of phases needs another one. The trap: `questions` are numbered as in the data set; a phase numbers only those it can use. */
import type { TandemConfig } from "../../config/schema.js";
import type { PassageStore } from "../../corpus/passage-store.js";
import type { Question } from "../../corpus/questions.js";
import type { Generator } from "../../generation/generator.js";
import type { Gpt2 } from "../../nn/gpt2.js";
import type { Encoder } from "../../retrieval/encoder.js";
import type { Renaming } from "../data/rename.js";
import type { ScorePairs } from "../mining/teacher.js";
import type { Report } from "../reporter.js";

/** The phase that the report needs beside those of the schedule. */
export const CLOSED_BOOK = "closed-book";

export interface PhaseParts {
  readonly config: TandemConfig;
  readonly store: PassageStore;
  readonly questions: readonly Question[];
  readonly generator: Generator;
  readonly closedBook: Gpt2 | undefined;
  readonly encoder: Encoder;
  /** What embeds the passages, where that isn't `encoder`. */
  readonly passages?: Encoder | undefined;
  /** Documents of validation and test questions; their passages teach no copying. */
  readonly heldOut: ReadonlySet<string>;
  readonly renaming: Renaming | undefined;
  readonly retrievalFolder: string;
  readonly precision: "bf16" | undefined;
  readonly device: string;
  /** By which a teacher of mined negatives scores pairs. Default: this process alone. */
  readonly scorePairs?: ScorePairs | undefined;
  readonly report: Report;
}

/** A question as the reader meets it; training answers with the first gold answer. */
export function answeredQuestion(question: Question | undefined): { question: string; answer: string } {
  return { question: question?.question ?? "", answer: question?.answers[0] ?? "" };
}
