/**
 * What reading a question file gives, whatever its format: the questions, and what became of the rest. Reading is questions.ts. The trap: `gold` is filled only by formats that hold their passages
 * themselves (SQuAD); the others name passages of another file, or of the store.
 */
import type { Question } from "./question.js";

export interface RejectedQuestion {
  /** 1-based, in files of lines. */
  line?: number;
  /** In SQuAD's JSON: `data[3].paragraphs[0].qas[2]`. */
  place?: string;
  reason: string;
}

/** A passage as a file has it; its id stands elsewhere. */
export interface GoldPassage {
  title: string;
  text: string;
  document?: string;
}

export interface QuestionSet {
  questions: Question[];
  rejected: RejectedQuestion[];
  /** Questions marked as having no answer, left out. */
  unanswerable: number;
  /** Passages that came with the questions, by the ids that the questions use. */
  gold: ReadonlyMap<string, GoldPassage>;
}

/** `file:12` or `file:data[3].paragraphs[0].qas[2]`. */
export function placeOf(file: string, { line, place }: RejectedQuestion): string {
  return `${file}:${line ?? place ?? ""}`;
}
