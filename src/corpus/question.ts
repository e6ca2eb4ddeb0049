/**
 * A question with its answers, as every part of Tandem sees it. Reading sets of them is questions.ts. The trap: `passageIds` speak of the file the
 * set was made for until gold-alignment.ts has mapped them to the store's ids.
 */

/** A name inside a text: `[start, end)` in UTF-16 units, and what may stand in its place. */
export interface EntitySpan {
  start: number;
  end: number;
  kind: string;
}

/** Names that may be renamed at batch time: in the question, and in each answer. */
export interface QuestionEntities {
  question: EntitySpan[];
  /** One list an answer. */
  answers: EntitySpan[][];
}

/** An earlier question with the answer that it got. */
export interface HistoryTurn {
  readonly question: string;
  readonly answer: string;
}

/** Where an answer stands in a gold passage as the question's file has it: `[start, end)` in UTF-16 units. */
export interface AnswerPlace {
  passageId: string;
  start: number;
  end: number;
}

export interface Question {
  id: string;
  question: string;
  /** At least one, none empty. The first is what the generator learns; all count in evaluation. */
  answers: string[];
  /** Gold passages; empty if unknown. */
  passageIds: string[];
  /** The article; splits are made by it. */
  document?: string;
  entities?: QuestionEntities;
  /** Known only to formats with offsets (SQuAD), and gone when gold passages have been mapped to the store's. */
  answerPlaces?: AnswerPlace[];
  /** What was asked and answered before, oldest first. */
  history?: HistoryTurn[];
}
