/**
 * Proves what happens where no question has a gold passage, as in a file of questions and answers alone: a schedule that begins with a refresh trains both models on what is found, audit and probe
 * included, and a schedule that wants gold passages, or retrieved ones before there is an index, is refused in one line.
 * Alone: npx vitest run test/job/no-gold.test.ts
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { liveTensors } from "../../src/engine/scope.js";
import { UserError } from "../../src/errors.js";
import { ARTICLES, makeFiles, trainTiny } from "./trained-run.js";

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Files whose questions are question<TAB>answer lines: nothing says which passage answers. */
function filesWithoutGold(): string {
  const folder = makeFiles();
  folders.push(folder);
  const lines = ARTICLES.map(({ title, text }) => `Who is the mayor of ${title}?\t${/mayor is (\w+),/.exec(text)?.[1] ?? ""}\n`);
  for (const [name, part] of [
    ["train", lines.slice(0, 20)],
    ["valid", lines.slice(20, 25)],
    ["test", lines.slice(25)],
  ] as const)
    writeFileSync(path.join(folder, `${name}.tsv`), part.join(""));
  return folder;
}

const wordsOf = (folder: string, schedule: string): string[] => [
  ...["train", "valid", "test"].map((name) => `data.questions.${name}=${path.join(folder, `${name}.tsv`)}`),
  `train.schedule=${schedule}`,
  "train.audit.every=1",
];

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("questions without gold passages", () => {
  it("train both models on what is found: audited, probed, trained, reported", async () => {
    const folder = filesWithoutGold();
    const before = liveTensors().tensors;
    const schedule =
      "[{phase: refresh}, {phase: generator, steps: 2, contexts: retrieved}, {phase: contrastive, steps: 1}, {phase: refresh}]";
    const run = await trainTiny(folder, undefined, [...wordsOf(folder, schedule), "train.contrastive.positives=answer"]);
    expect(liveTensors().tensors).toBe(before);
    expect(readFileSync(path.join(run, "audit.txt"), "utf8")).toMatch(/generator\/answer[^]*contrastive\/contrastive/);
    const lines = readFileSync(path.join(run, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.filter(({ phase }) => phase === "generator").every((line) => "probe/length/generated" in line)).toBe(true);
    const report = JSON.parse(readFileSync(path.join(run, "report.json"), "utf8")) as { rows: { name: string; mrr: number | null }[] };
    expect(report.rows.map(({ name, mrr }) => [name, mrr])).toEqual([
      ["closed-book", null],
      ["trained-pair", null],
    ]);
  }, 120_000);

  it.each([
    [
      "gold passages",
      "[{phase: generator, steps: 1}]",
      [],
      /train\.schedule: a generator phase wants gold passages, and no training question has one.*begin the schedule with/,
    ],
    [
      "gold passages, after others",
      "[{phase: refresh}, {phase: generator, steps: 1, contexts: retrieved}, {phase: generator, steps: 1, contexts: gold}]",
      [],
      /a generator phase wants gold passages/,
    ],
    [
      "gold passages as positives",
      "[{phase: refresh}, {phase: contrastive, steps: 1}]",
      [],
      /a contrastive phase wants gold passages as positives.*set train\.contrastive\.positives=answer/,
    ],
    [
      "positives before there is an index",
      "[{phase: contrastive, steps: 1}, {phase: refresh}]",
      ["train.contrastive.positives=answer"],
      /but no index was built before.*put a refresh phase before it/,
    ],
    [
      "retrieved ones before there is an index",
      "[{phase: generator, steps: 1}]",
      ["train.generator.contexts=retrieved"],
      /reads what an index finds .*but no refresh stands before it/,
    ],
  ])(
    "refuse a schedule that wants %s",
    async (_, schedule, more, said) => {
      const folder = filesWithoutGold();
      const error = await failure(trainTiny(folder, undefined, [...wordsOf(folder, schedule), ...more]));
      expect(error).toBeInstanceOf(UserError);
      expect((error as UserError).message).toMatch(said);
      for (const run of existsSync(path.join(folder, "runs")) ? readdirSync(path.join(folder, "runs")) : [])
        expect(readdirSync(path.join(folder, "runs", run))).not.toContain("report.json");
    },
    60_000,
  );
});
