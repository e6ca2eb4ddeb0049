/**
 * Proves that a run that mines by the index and by BM25, with margins by its own scores or by a teacher's, as contrastive phases begin or by an entry of its own, equals the uninterrupted one after SIGKILL: in the middle of a
 * contrastive phase before and after a refresh; that BM25 is searched once; that what a `mine` chose outlives a refresh; and that a start with leaks is refused by the real program. Needs the compiled program (npm run build). Alone: npx vitest run test/job/resume-mining.test.ts
 */
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { crossEncoderFolder } from "../nn/model-folder.js";
import { expectEqualRuns, killAndResume, ROOT, runFolder, trainFully } from "./killed-run.js";

const SCHEDULE =
  "[{phase: contrastive, steps: 3}, {phase: refresh}, {phase: contrastive, steps: 4}, {phase: refresh}, {phase: contrastive, steps: 2}]";
const teacher = crossEncoderFolder();
afterAll(teacher.free);

const words =
  (...mining: string[]) =>
  (runs: string): string[] => [
    "experiment=tiny",
    `run.dir=${runs}`,
    "retriever.dropout=0.1",
    "train.checkpoint.every=2",
    `train.schedule=${SCHEDULE}`,
    "train.contrastive.hard_negatives=2",
    "train.contrastive.accumulate=2",
    "train.contrastive.symmetric=true",
    "train.contrastive.matryoshka=[8,16]",
    ...mining.map((word) => `train.contrastive.mining.${word}`),
    "--quiet",
  ];

interface Line {
  readonly step: number;
  readonly phase: string;
}

describe("a run that mines hard negatives", () => {
  it.each<[string, string[]]>([
    ["dense, by margins of its own scores", ["to=12", "relative_margin=0.01", "max_score=0.99", "near_positive=0.7", "sampling=top"]],
    [
      "dense and BM25, by margins of a cross-encoder's",
      ["source=both", "to=8", "ranks=kept", "absolute_margin=0.001", `teacher.path=${teacher.folder}`],
    ],
  ])(
    "%s: equals the uninterrupted one after two kills",
    async (_, mining) => {
      const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
      const result = await trainFully(words(...mining)(runs));
      expect(result.code, result.stderr).toBe(0);
      const whole = runFolder(runs) ?? "";
      const lines = readFileSync(path.join(whole, "metrics.jsonl"), "utf8").trimEnd().split("\n");
      const records = lines.map((line) => JSON.parse(line) as Line).filter(({ phase }) => phase !== "closed-book");
      expect(records.map(({ phase }) => phase)).toEqual(Array<string>(9).fill("contrastive"));
      const { run, killed } = await killAndResume(words(...mining), 2, (folder, kill) => {
        const file = path.join(folder, "metrics.jsonl");
        return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 3 + 4 * kill;
      });
      expect(killed).toBe(2);
      expectEqualRuns(run, whole);
      const state = newestState(whole);
      expect(Object.keys(state).sort()).toEqual(mining.includes("source=both") ? ["lexical", "mined", "teacher"] : ["mined"]);
      for (const name of Object.values(state)) expect(readdirSync(path.join(whole, "retrieval"))).toContain(name);
      expect(newestState(run)).toEqual(state);
    },
    300_000,
  );

  it("by entries of its own keeps what each chose until the next, whatever index comes, through two kills", async () => {
    const schedule =
      "[{phase: mine, with: {mining: {source: bm25, to: 9}}}, {phase: contrastive, steps: 3}, {phase: refresh}, {phase: contrastive, steps: 2}, {phase: mine}, {phase: contrastive, steps: 2}, {phase: refresh}, {phase: contrastive, steps: 2}]";
    const start = (runs: string): string[] => [
      ...words("to=12")(runs),
      `train.schedule=${schedule}`,
      "train.validate.after_each_phase=true",
    ];
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-whole-"));
    const result = await trainFully(start(runs).filter((word) => word !== "--quiet"));
    expect(result.code, result.stderr).toBe(0);
    // Once each: no contrastive phase mines beside them.
    expect(result.stderr.match(/hard negatives: \d+ for/g)).toHaveLength(2);
    const whole = runFolder(runs) ?? "";
    const validated = readFileSync(path.join(whole, "validation", "summary.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    expect(validated.map((line) => (JSON.parse(line) as Line).phase)).toEqual([
      "contrastive",
      "refresh",
      "contrastive",
      "contrastive",
      "refresh",
      "contrastive",
    ]);
    const { run, killed } = await killAndResume(start, 2, (folder, kill) => {
      const file = path.join(folder, "metrics.jsonl");
      return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 3 + 3 * kill;
    });
    expect(killed).toBe(2);
    expectEqualRuns(run, whole);
    const { isKept, ...names } = newestState(whole) as Record<string, unknown>;
    expect(isKept).toBe(true);
    // What BM25 found is still there for another mine.
    expect(Object.keys(names).sort()).toEqual(["lexical", "mined"]);
    expect(newestState(run)).toEqual({ ...names, isKept });
  }, 300_000);

  it("is refused when the teacher's folder changed under it", async () => {
    const runs = mkdtempSync(path.join(tmpdir(), "tandem-taught-"));
    const own = crossEncoderFolder();
    const mining = ["source=bm25", "relative_margin=0", `teacher.path=${own.folder}`];
    const { run, killed } = await killAndResumeOnce(words(...mining)(runs), runs);
    expect(killed).toBe(true);
    appendFileSync(path.join(own.folder, "tokenizer_config.json"), " ");
    const resumed = await trainFully(["--resume", run, "--quiet"]);
    expect(resumed.code).toBe(2);
    expect(resumed.stderr).toMatch(/train\.contrastive\.mining\.teacher\.path: .* is not the folder this run began with/);
    own.free();
  }, 120_000);
});

describe("a start with leaks", () => {
  it("ends with code 2 and one line that names example and setting, and goes on when they are allowed", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tandem-leaking-"));
    const train = path.join(folder, "train.jsonl");
    const held = (i: number): string =>
      JSON.stringify({ id: `h${i}`, question: `Is salt or sugar sold in ${i}?`, answers: ["salt"], passage_ids: [], document: `h${i}` });
    const own = readFileSync(path.join(ROOT, "data/quickstart/train.jsonl"), "utf8").trimEnd().split("\n").slice(0, 60);
    writeFileSync(train, `${[...own, ...Array.from({ length: 9 }, (_, i) => held(i))].join("\n")}\n`);
    const start = (...more: string[]): ReturnType<typeof trainFully> =>
      trainFully([
        "experiment=tiny",
        `run.dir=${path.join(folder, "runs")}`,
        `data.questions.train=${train}`,
        "data.questions.limit=null",
        "data.rename.enabled=false",
        "train.schedule=[{phase: contrastive, steps: 1}]",
        "--quiet",
        ...more,
      ]);
    const refused = await start();
    expect(refused.code).toBe(2);
    const last = refused.stderr.trimEnd().split("\n").at(-1);
    expect(last).toMatch(
      /train: 9 of 69 questions \(13\.0 %\) of train hold one of their own answers, for example "Is salt or sugar sold in 0\?" \(answer "salt"\).*data\.questions\.allow_leaks=\[answer_in_question\]/,
    );
    const run = runFolder(path.join(folder, "runs")) ?? "";
    // Nothing was built from them.
    expect(existsSync(path.join(run, "corpus"))).toBe(false);
    const allowed = await start("data.questions.allow_leaks=[answer_in_question]", `run.dir=${path.join(folder, "others")}`);
    expect(allowed.code, allowed.stderr).toBe(0);
    expect(allowed.stderr).toMatch(/warning: 9 of 69 questions/);
  }, 120_000);
});

/** Which mining artefacts the newest checkpoint names. */
function newestState(run: string): Record<string, string> {
  const [newest] = readdirSync(path.join(run, "checkpoints")).sort().reverse();
  const text = readFileSync(path.join(run, "checkpoints", newest ?? "", "state.json"), "utf8");
  return (JSON.parse(text) as { artefacts: { mining: Record<string, string> } }).artefacts.mining;
}

/** Kills a run once it has a checkpoint. */
async function killAndResumeOnce(start: readonly string[], runs: string): Promise<{ run: string; killed: boolean }> {
  const { trainAndKill } = await import("./killed-run.js");
  const result = await trainAndKill(start, () => {
    const run = runFolder(runs);
    const folder = path.join(run ?? "", "checkpoints");
    return (
      run !== undefined &&
      existsSync(folder) &&
      readdirSync(folder).some((name) => /^step-\d+$/.test(name) && existsSync(path.join(folder, name, "state.json")))
    );
  });
  return { run: runFolder(runs) ?? "", killed: result.signal === "SIGKILL" };
}
