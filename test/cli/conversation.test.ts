/**
 * Proves that follow-ups are asked with what was said before them: in a conversation from standard input, from a question file with histories, and not at all where the run's prompt has no place for
 * it, which is said. Alone: npx vitest run test/cli/conversation.test.ts
 */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { command as ask } from "../../src/cli/ask.js";
import type { HistoryTurn } from "../../src/corpus/question.js";
import { findTrainedRun } from "../../src/job/run/find-run.js";
import { openPair } from "../../src/job/run/open-pair.js";
import { repository } from "../docs/tracked-files.js";
import { faultOf } from "../job/fault-of.js";
import { jsonLines, trainedWorld, type World } from "../job/trained-run.js";
import { captured } from "./captured.js";
import { compileCommand, type CompiledCommand } from "./compiled-command.js";

/** Drawn at a high temperature, an answer shows every change of its prompt. */
const SAMPLED = ["--strategy", "sample", "--temperature", "2", "--max-new-tokens", "10"];
const KEYS = ["generation.strategy=sample", "generation.temperature=2", "eval.max_new_tokens=10"];
const QUESTIONS = ["Who is the mayor of Bal?", "And the river?", "Since when?"];

let world: World;
let run: string;
let command: CompiledCommand;
beforeAll(async () => {
  world = await trainedWorld();
  run = path.join(world.folder, "talk");
  cpSync(world.run, run, { recursive: true });
  const config = path.join(run, "config.yaml");
  const text = readFileSync(config, "utf8");
  expect(text).toContain("{question}");
  writeFileSync(config, text.replaceAll(/Q: \{question\}(?=(\\n|\n| )+ *A:(?! \{answer\}))/g, "{history}Q: {question}"));
  command = compileCommand("conversation");
  symlinkSync(path.join(repository, "build"), path.join(command.root, "build"));
  symlinkSync(path.join(repository, "node_modules"), path.join(command.root, "node_modules"));
}, 300_000);
afterAll(() => {
  world.remove();
  rmSync(path.join(command.root, "build"), { force: true });
  command.remove();
});

interface Line {
  readonly question: string;
  readonly answer: string;
}
const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

/** What the library answers to each question after all before it. */
async function conversation(questions: readonly string[]): Promise<HistoryTurn[]> {
  const pair = openPair(findTrainedRun(run, KEYS));
  const history: HistoryTurn[] = [];
  for (const question of questions) {
    const [answered] = await pair.answer([{ question, history }]);
    history.push({ question, answer: answered?.answer ?? "" });
  }
  pair.dispose();
  return history;
}

describe("a conversation", () => {
  it("asks each line with what was said before, until /new", async () => {
    const said = await conversation(QUESTIONS);
    const alone = (await Promise.all(QUESTIONS.map(async (question) => conversation([question])))).flat();
    expect(said[0]).toEqual(alone[0]);
    expect(said[2]).not.toEqual(alone[2]);
    const typed = ["", ...QUESTIONS, "/new", QUESTIONS[2]].join("\\n");
    const { status, out, error } = command.shell(`printf '${typed}\\n' | tandem ask ${run} -i --json ${SAMPLED.join(" ")}`);
    expect(error).toBe("");
    expect(status).toBe(0);
    const pairs = linesOf(out).map(({ question, answer }) => ({ question, answer }));
    expect(pairs).toEqual([...said, alone[2]]);
  });

  it("says so where the run's prompt has no place for it", () => {
    const { status, out, error } = command.shell(`printf 'Who?\\nWhere?\\n' | tandem ask ${world.run} -i --json`);
    expect(status).toBe(0);
    expect(error).toBe("warning: the run's prompt.template has no {history}: each question is asked as if it were the first\n");
    expect(linesOf(out)).toHaveLength(2);
  });

  it("reads no question file beside", async () => {
    expect(await faultOf(() => captured(ask, ["ask", run, "-i", "--questions", "x.txt"]))).toMatch(
      /reads questions from standard input already/,
    );
  });
});

describe("a question file", () => {
  const file = (name: string, text: string): string => {
    const full = path.join(world.folder, name);
    writeFileSync(full, text);
    return full;
  };

  it("with histories asks each question after its own", async () => {
    const said = await conversation(QUESTIONS);
    const questions = file(
      "follow-ups.jsonl",
      jsonLines([{ question: QUESTIONS[2], history: said.slice(0, 2) }, { question: QUESTIONS[0] }]),
    );
    const { out, error } = await captured(ask, ["ask", run, "--questions", questions, "--json", ...SAMPLED]);
    expect(error).toBe("");
    expect(linesOf(out).map(({ answer }) => answer)).toEqual([said[2]?.answer, said[0]?.answer]);
  });

  it.each([
    ["no list", { question: "x", answer: "y" }, /:2: history is not a list; expected \[\{question, answer\}/],
    ["a turn without an answer", [{ question: "x" }], /:2: history\[0\] is not a question with its answer/],
    [
      "an empty question",
      [
        { question: "x", answer: "y" },
        { question: " ", answer: "y" },
      ],
      /history\[1\] is not a question/,
    ],
    ["text for a turn", ["x"], /history\[0\] is not a question/],
  ])("whose history is %s is refused by its line", async (_, history, expected) => {
    const questions = file("wrong.jsonl", jsonLines([{ question: "Who?" }, { question: "Where?", history }]));
    expect(await faultOf(() => captured(ask, ["ask", run, "--questions", questions]))).toMatch(expected);
  });
});
