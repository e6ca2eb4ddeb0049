/**
 * Proves that `tandem mine`, as a real process, writes negatives of a run and of folders as triplets, tuples and DPR's JSON that other programs read, never a held-out document, at once or not at all, with a
 * report that adds up; and that wrong words, folders and files are one line. Alone: npx vitest run test/cli/mine.test.ts
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MineReport } from "../../src/job/mining/mine-questions.js";
import { isTabSeparated, writeMinedFile } from "../../src/job/mining/mined-file.js";
import { summary } from "../../src/job/mining/score-summary.js";
import { ROOT } from "../job/killed-run.js";
import { ARTICLES, idOf, jsonLines, trainedWorld, type World } from "../job/trained-run.js";
import { crossEncoderFolder } from "../nn/model-folder.js";
import { referenceMissing, runPython } from "../nn/reference-python.js";
import { faultOf, namesIn } from "../storage/bad-input.js";
import { compileCommand, type CompiledCommand } from "./compiled-command.js";

let world: World;
let program: CompiledCommand;
beforeAll(async () => {
  world = await trainedWorld();
  program = compileCommand("mine");
  mkdirSync(path.join(program.root, "build"));
  for (const addOn of namesIn(path.join(ROOT, "build")).filter((name) => ["bridge", "mmap", "faiss"].includes(name)))
    symlinkSync(path.join(ROOT, "build", addOn), path.join(program.root, "build", addOn));
}, 300_000);
afterAll(() => {
  world.remove();
  program.remove();
});

const at = (name: string): string => path.join(world.folder, name);
const mine = (...words: string[]): ReturnType<CompiledCommand["run"]> => program.run(["mine", ...words], { cwd: world.folder });
const reported = (...words: string[]): MineReport => {
  const { status, out, error } = mine("--json", ...words);
  expect(status, error).toBe(0);
  return JSON.parse(out) as MineReport;
};
const linesOf = (name: string): Record<string, string>[] =>
  readFileSync(at(name), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, string>);
const shown = ({ title, text }: { title: string; text: string }): string => `${title}. ${text}`;
const answered = (text: string): number => ARTICLES.findIndex((article) => shown(article) === text);

describe("tandem mine", () => {
  it("mines a run's own training questions as training would: no validation or test document, no positive, no answer", () => {
    const report = reported("--run", world.run, "--output", at("own.jsonl"), "train.contrastive.mining.to=6");
    const lines = linesOf("own.jsonl");
    expect(report).toMatchObject({ questions: 20, withoutPositives: 0, withoutNegatives: 0, written: lines.length });
    expect(lines).toHaveLength(60);
    expect(Object.keys(lines[0]!)).toEqual(["anchor", "positive", "negative"]);
    for (const { anchor, positive, negative } of lines) {
      expect(anchor).toBe(`Who is the mayor of ${ARTICLES[answered(positive!)]!.title}?`);
      expect(answered(negative!)).toBeGreaterThanOrEqual(0);
      expect(answered(negative!)).toBeLessThan(20);
      expect(negative).not.toBe(positive);
    }
    expect(report.scores?.negative.count).toBe(60);
    expect(report.scores?.positive.count).toBe(20);
  }, 60_000);

  it("writes tuples with tabs, and DPR's JSON with titles, ids and scores; margins are reported by rule", () => {
    const margin = ["train.contrastive.mining.relative_margin=0.0", "train.contrastive.mining.to=20"];
    const report = reported("--run", world.run, "--output", at("tuples.tsv"), "--format", "n-tuple", "--negatives", "2", ...margin);
    const [head, ...rows] = readFileSync(at("tuples.tsv"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
    expect(head).toEqual(["anchor", "positive", "negative_1", "negative_2"]);
    expect(rows.every((cells) => cells.length === 4)).toBe(true);
    expect(rows).toHaveLength(report.written);
    expect(report.withoutNegatives + report.withFewer + report.written).toBe(20);
    expect(report.rules.droppedRelativeMargin).toBeGreaterThan(0);
    expect(report.scores?.difference.minimum).toBeGreaterThanOrEqual(0);
    reported("--run", world.run, "--output", at("dpr.json"), "--format", "dpr", "train.contrastive.mining.source=bm25");
    const dpr = JSON.parse(readFileSync(at("dpr.json"), "utf8")) as Record<string, unknown>[];
    expect(dpr[0]).toMatchObject({ question: "Who is the mayor of Balnen?".replace("Balnen", ARTICLES[0]!.title), negative_ctxs: [] });
    const [positive] = dpr[0]!["positive_ctxs"] as Record<string, unknown>[];
    expect(positive).toEqual({ title: ARTICLES[0]!.title, text: ARTICLES[0]!.text, passage_id: idOf(ARTICLES[0]!) });
    const hard = dpr[0]!["hard_negative_ctxs"] as { score: number }[];
    expect(hard.length).toBeGreaterThan(0);
    expect(hard[0]!.score).toBeGreaterThan(0);
  }, 60_000);

  it("draws other negatives for another seed, the same for the same, and the best with sampling=top", () => {
    const drawn = (name: string, ...words: string[]): string => {
      reported("--run", world.run, "--output", at(name), "--negatives", "1", "train.contrastive.mining.to=15", ...words);
      return readFileSync(at(name), "utf8");
    };
    expect(drawn("a.jsonl")).toBe(drawn("b.jsonl"));
    expect(drawn("a.jsonl", "seed=5")).not.toBe(drawn("b.jsonl"));
    const top = drawn("top.jsonl", "train.contrastive.mining.sampling=top");
    expect(drawn("first.jsonl", "train.contrastive.mining.sampling=top", "train.contrastive.mining.to=3")).toBe(top);
  }, 120_000);

  it("mines a file of questions by folders, judged by a cross-encoder, without the documents of another file", () => {
    const teacher = crossEncoderFolder();
    const store = path.join(world.run, "corpus");
    const index = path.join(world.run, "index");
    const [name] = namesIn(index);
    const folders = ["--retriever", path.join(world.run, "retriever"), "--corpus", store, "--questions", at("test.jsonl")];
    const judged = [
      "train.contrastive.mining.source=both",
      `train.contrastive.mining.teacher.path=${teacher.folder}`,
      "train.contrastive.mining.max_score=1",
    ];
    // The run's newest index is its retriever's; older ones are refused as stale.
    const outcomes = namesIn(index).map((entry) =>
      mine(...folders, "--index", path.join(index, entry), "--output", at("judged.jsonl"), "--hold-out", at("valid.jsonl"), ...judged),
    );
    teacher.free();
    expect(name).toBeDefined();
    const fitting = outcomes.filter(({ status }) => status === 0);
    expect(fitting, outcomes.map(({ error }) => error).join("")).toHaveLength(1);
    expect(fitting[0]!.out).toMatch(/5 questions: 0 without a positive, 0 lost all negatives/);
    expect(fitting[0]!.out).toMatch(/scores +count +mean/);
    const used = linesOf("judged.jsonl").map(({ negative }) => answered(negative!));
    expect(used.length).toBe(15);
    for (const row of used) expect(row < 20 || row >= 25).toBe(true);
  }, 120_000);

  it("by BM25 alone needs no retriever", () => {
    const report = reported(
      "--corpus",
      path.join(world.run, "corpus"),
      "--questions",
      at("test.jsonl"),
      "--output",
      at("bm25.jsonl"),
      "train.contrastive.mining.source=bm25",
    );
    expect(report.questions).toBe(5);
    expect(linesOf("bm25.jsonl").length).toBe(report.written);
  }, 60_000);

  it("finds gold passages by the texts of a file that the command line names, where ids are another collection's", () => {
    const [article] = ARTICLES;
    const { title, text } = article!;
    writeFileSync(at("gold.jsonl"), `${JSON.stringify({ id: "elsewhere-7", title, text })}\n`);
    const question = { id: "q", question: `Who is the mayor of ${title}?`, answers: ["nobody"], passage_ids: ["elsewhere-7"] };
    writeFileSync(at("elsewhere.jsonl"), `${JSON.stringify(question)}\n`);
    const words = ["--corpus", path.join(world.run, "corpus"), "--questions", at("elsewhere.jsonl"), "--output", at("found.jsonl")];
    const bm25 = "train.contrastive.mining.source=bm25";
    expect(mine(...words, bm25)).toMatchObject({ status: 2 });
    expect(reported(...words, bm25, `data.questions.gold_passages=${at("gold.jsonl")}`)).toMatchObject({
      questions: 1,
      withoutPositives: 0,
    });
    expect(linesOf("found.jsonl").map(({ positive }) => positive)).toEqual(Array(3).fill(shown(article!)));
    // Other questions than a run's own may have other gold passages; the run's own have theirs.
    const gold = `data.questions.gold_passages=${at("gold.jsonl")}`;
    const ofRun = ["--run", world.run, "--output", at("of-run.jsonl")];
    expect(reported(...ofRun, "--questions", at("elsewhere.jsonl"), gold)).toMatchObject({ questions: 1, withoutPositives: 0 });
    expect(linesOf("of-run.jsonl").map(({ positive }) => positive)).toEqual(Array(3).fill(shown(article!)));
    expect(mine(...ofRun, gold)).toMatchObject({ status: 2, error: expect.stringContaining("data.questions.gold_passages") as string });
  }, 60_000);

  it.each<[string, () => string[], RegExp]>([
    ["no source", () => ["--output", "x.jsonl"], /doesn't say whose negatives.*see tandem mine --help/],
    ["no output", () => ["--run", world.run], /output/],
    [
      "an ending that isn't written",
      () => ["--run", world.run, "--output", "x.csv"],
      /x\.csv: the name isn't that of the lines that are written.*\.jsonl, \.tsv/,
    ],
    [
      "a window turned round",
      () => ["--run", world.run, "--output", "x.jsonl", "train.contrastive.mining.from=5", "train.contrastive.mining.to=2"],
      /mining\.from=5': 'train\.contrastive\.mining\.from' is 5, above to \(2\): no rank is left; set it to 2 or less, or raise to$/,
    ],
    ["DPR's JSON as .tsv", () => ["--run", world.run, "--output", "x.tsv", "--format", "dpr"], /x\.tsv: DPR's format is JSON/],
    [
      "no negatives",
      () => ["--run", world.run, "--output", "x.jsonl", "--negatives", "0"],
      /--negatives: is no number of negatives.*got 0/,
    ],
    [
      "a window too small",
      () => ["--run", world.run, "--output", "x.jsonl", "train.contrastive.mining.to=2"],
      /leaves 2 ranks for 3 hard negatives/,
    ],
    ["a settled key", () => ["--run", world.run, "--output", "x.jsonl", "train.contrastive.lr=1"], /'train\.contrastive\.lr' is settled/],
    ["a file that isn't there", () => ["--run", world.run, "--output", "x.jsonl", "--questions", "/nowhere.jsonl"], /\/nowhere\.jsonl/],
    [
      "a teacher that isn't there",
      () => [
        "--run",
        world.run,
        "--output",
        "x.jsonl",
        "train.contrastive.mining.teacher.path=/nowhere",
        "train.contrastive.mining.max_score=1",
      ],
      /\/nowhere/,
    ],
    ["an output in no folder of ours", () => ["--run", world.run, "--output", "/proc/x.jsonl"], /\/proc\/x\.jsonl/],
    [
      "rules that leave nothing",
      () => ["--run", world.run, "--output", "x.jsonl", "train.contrastive.mining.max_score=-5"],
      /no question keeps a negative.*loosen/,
    ],
    [
      "questions of another corpus",
      () => ["--run", world.run, "--output", "x.jsonl", "--questions", at("foreign.jsonl")],
      /no question has a passage that answers it/,
    ],
  ])(
    "refuses %s in one line and writes nothing",
    (_, words, expected) => {
      writeFileSync(at("foreign.jsonl"), jsonLines([{ id: "f", question: "Who?", answers: ["Nobody"], passage_ids: ["elsewhere"] }]));
      const { status, error } = mine(...words());
      expect(status, error).toBe(2);
      expect(error.trimEnd().split("\n").at(-1)).toMatch(expected);
      expect(existsSync(at("x.jsonl"))).toBe(false);
    },
    60_000,
  );

  it("says of paths that aren't there only that, and nothing of a schedule that nobody trains by", () => {
    expect(mine("--corpus", "nope", "--questions", "nope", "--output", "x")).toMatchObject({
      status: 2,
      error: "tandem mine: --corpus nope: no such file or folder; check the path\n",
    });
    const missing = mine("--corpus", path.join(world.run, "corpus"), "--questions", at("test.jsonl"), "--output", "x.jsonl");
    expect(missing.error.split("\n")).toEqual([expect.stringMatching(/^tandem mine: command line: doesn't say/), ""]);
    const own = "train.contrastive.positives=answer";
    const made = mine(
      "--corpus",
      path.join(world.run, "corpus"),
      "--questions",
      at("test.jsonl"),
      "--output",
      at("quiet.jsonl"),
      "train.contrastive.mining.source=bm25",
      own,
      "--quiet",
    );
    expect(made).toMatchObject({ status: 0, error: "" });
  }, 60_000);

  it.skipIf(referenceMissing !== undefined)(
    "writes what sentence-transformers' trainers load, columns in their order",
    () => {
      reported(
        "--run",
        world.run,
        "--output",
        at("loaded.jsonl"),
        "--format",
        "n-tuple",
        "--negatives",
        "2",
        "train.contrastive.mining.to=10",
      );
      const program =
        "import json, sys; from datasets import load_dataset; d = load_dataset('json', data_files=json.loads(sys.argv[1]), split='train'); print(json.dumps([d.column_names, len(d)]))";
      expect(runPython(program, at("loaded.jsonl"))).toEqual([
        ["anchor", "positive", "negative_1", "negative_2"],
        linesOf("loaded.jsonl").length,
      ]);
    },
    120_000,
  );
});

describe("a mined file", () => {
  it("keeps what was there when writing fails in the middle, and no line break in a cell", () => {
    mkdirSync(at("files"), { recursive: true });
    const target = at("files/old.tsv");
    const row = (negatives: number[]) => ({
      question: { id: "a", question: "One\ttwo\nthree?", answers: ["x"], passageIds: [] },
      positives: [0],
      negatives: negatives.map((each) => ({ row: each, score: 1 })),
    });
    const options = {
      format: "triplet" as const,
      negatives: 1,
      store: { get: () => ({ id: "i", title: "t", text: "x", document: "d" }) },
      textOf: (place: number) => {
        if (place === 9) throw new Error("gone");
        return `passage\r\n${place}\u2028.`;
      },
    };
    expect(writeMinedFile(target, [row([1, 2])], options)).toBe(2);
    const before = readFileSync(target, "utf8");
    expect(before).toBe("anchor\tpositive\tnegative\nOne two three?\tpassage 0 .\tpassage 1 .\nOne two three?\tpassage 0 .\tpassage 2 .\n");
    expect(() => writeMinedFile(target, [row([1]), row([9])], options)).toThrow("gone");
    expect(readFileSync(target, "utf8")).toBe(before);
    expect(namesIn(at("files"))).toEqual(["old.tsv"]);
    for (const name of ["a.TSV", "a.jsonl"]) expect(faultOf(() => isTabSeparated(name, "dpr"))).toMatch(/DPR's format is JSON/);
    expect(faultOf(() => isTabSeparated("x.json", "triplet"))).toMatch(/isn't that of the lines/);
    expect(faultOf(() => isTabSeparated("tsv", "triplet"))).toMatch(/isn't that of the lines that are written/);
    expect([isTabSeparated("a.TSV", "triplet"), isTabSeparated("a.json", "dpr"), isTabSeparated("a.JSONL", "n-tuple")]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it("of scores has NumPy's quartiles and passes over what isn't known", () => {
    expect(summary([4, NaN, 1, 3, 2])).toEqual({
      count: 4,
      mean: 2.5,
      deviation: expect.closeTo(1.2909944487358056, 12) as number,
      minimum: 1,
      quartiles: [1.75, 2.5, 3.25],
      maximum: 4,
    });
    expect(summary([NaN])).toEqual({ count: 0, mean: null, deviation: null, minimum: null, quartiles: null, maximum: null });
  });
});
