/**
 * `tandem ask --interactive`: a question a line, each asked with what was said before it. It reads standard input, so that a conversation can be piped in as well as typed. The trap: passages are
 * searched by the question alone; "And its mayor?" finds little, though the generator sees what came before.
 */
import { createInterface } from "node:readline";
import type { AskedQuestion } from "../corpus/asked-questions.js";
import type { HistoryTurn } from "../corpus/question.js";

/** Forgets what was said. */
const FORGET = "/new";

export interface ConversationOptions {
  /** Asked before the first line is read. */
  readonly first: readonly AskedQuestion[];
  /** Answers and prints; gives the answer back. */
  readonly ask: (question: AskedQuestion) => Promise<string>;
}

/** Runs until standard input ends. */
export async function converse({ first, ask }: ConversationOptions): Promise<void> {
  let history: HistoryTurn[] = [];
  const turn = async (question: AskedQuestion): Promise<void> => {
    history.push({ question: question.question, answer: await ask({ ...question, history }) });
  };
  for (const question of first) await turn(question);
  const isTyped = process.stdin.isTTY;
  if (isTyped) process.stderr.write(`one question a line; ${FORGET} forgets what was said, Ctrl-D ends\n`);
  const lines = createInterface({ input: process.stdin, ...(isTyped ? { output: process.stderr, prompt: "? " } : {}) });
  if (isTyped) lines.prompt();
  for await (const line of lines) {
    const said = line.trim();
    if (said === FORGET) history = [];
    else if (said !== "") await turn({ question: said });
    if (isTyped) lines.prompt();
  }
}
