/**
 * Proves that every schedule of conf/train, and CoZyRAG's set-up on the input it is for (a wikiextractor folder and question<TAB>answer lines), really trains to its end: phases, order and contexts as shipped, two steps each. And that a
 * schedule that needs gold passages is refused before the corpus is built where no question names one.
 * Needs the compiled program (npm run build). Alone: npx vitest run test/job/shipped-schedules.test.ts
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { ROOT, runFolder, startTraining } from "./killed-run.js";
import { ARTICLES, makeFiles, tinyWords } from "./trained-run.js";

const world = makeFiles();
afterAll(() => rmSync(world, { recursive: true, force: true }));

const STEPS = 2;

/** The composed schedule as an override, each entry cut to a few steps. */
function cut(words: readonly string[]): { phases: string[]; override: string } {
  const { schedule } = loadConfig({ overrides: words }).config.train;
  const entries = schedule.map(({ phase, steps, contexts, with: own }) => {
    expect(own).toBeNull();
    const length = steps > 0 ? [`steps: ${STEPS}`] : [];
    return `{${[`phase: ${phase}`, ...length, ...(contexts === null ? [] : [`contexts: ${contexts}`])].join(", ")}}`;
  });
  return { phases: schedule.map(({ phase }) => phase), override: `train.schedule=[${entries.join(", ")}]` };
}

/** Trains and returns the phases as they were taken. */
async function trained(words: readonly string[]): Promise<string[]> {
  const runs = mkdtempSync(path.join(world, "runs-"));
  const { code, stderr } = await startTraining([...words, `run.dir=${runs}`, "--quiet"]).ended;
  expect(code, stderr).toBe(0);
  const { phases } = JSON.parse(readFileSync(path.join(runFolder(runs)!, "schedule.json"), "utf8")) as { phases: { phase: string }[] };
  return phases.map(({ phase }) => phase).filter((phase) => phase !== "closed-book");
}

describe("a shipped schedule trains from its first phase to its last", () => {
  const groups = readdirSync(path.join(ROOT, "conf/train")).map((name) => path.basename(name, ".yaml"));
  it.each(groups)(
    "train=%s",
    async (group) => {
      const { phases, override } = cut(["data=quickstart", "model=small", `train=${group}`]);
      // tinyWords cuts the schedule itself.
      const tiny = tinyWords(world).filter((word) => !word.startsWith("train.schedule") && !word.startsWith("run.dir"));
      expect(await trained([`train=${group}`, ...tiny, override])).toEqual(phases);
    },
    120_000,
  );
});

describe("CoZyRAG's set-up", () => {
  const folder = path.join(world, "cozyrag");
  mkdirSync(path.join(folder, "extracted/AA"), { recursive: true });
  const pages = ARTICLES.map(({ id, title, text }) => JSON.stringify({ id, url: `https://example.org/${id}`, title, text }));
  writeFileSync(path.join(folder, "extracted/AA/wiki_00"), `${pages.join("\n")}\n`);
  const asked = ARTICLES.map(({ title, text }) => `Who is the mayor of ${title}?\t${/mayor is (\w+)/.exec(text)![1]!}`);
  writeFileSync(path.join(folder, "qa.tsv"), `${asked.join("\n")}\n`);
  const input = [`data.corpus.path=${path.join(folder, "extracted")}`, `data.questions.train=${path.join(folder, "qa.tsv")}`];
  const small = ["retriever", "generator"].flatMap((model) =>
    ["layers=1", "width=16", "heads=2", "vocabulary=300"].map((size) => `${model}.initialise.${size}`),
  );
  const words = [
    "experiment=cozyrag",
    "model=small",
    "device=cpu",
    ...input,
    ...small,
    "train.generator.warmup=0",
    "train.contrastive.warmup=0",
    "train.contrastive.batch=4",
    "train.generator.batch=2",
    "eval.max_new_tokens=4",
    "eval.rows=[trained-pair]",
    "prompt.passages=1",
  ];

  it("trains on wikiextractor's folder and question<TAB>answer lines", async () => {
    const { phases, override } = cut(words);
    expect(phases[0]).toBe("refresh");
    expect(await trained([...words, override])).toEqual(phases);
  }, 120_000);

  it("with a schedule that needs gold passages is refused before anything is made of the corpus", async () => {
    const runs = mkdtempSync(path.join(world, "runs-"));
    const { code, stderr } = await startTraining([...words, "train.schedule=[{phase: generator, steps: 2}]", `run.dir=${runs}`]).ended;
    expect(code).toBe(2);
    expect(stderr).toContain("wants gold passages, and no training question has one");
    for (const name of readdirSync(runs)) expect(existsSync(path.join(runs, name, "corpus"))).toBe(false);
    expect(stderr).not.toMatch(/corpus.*%/);
  }, 60_000);
});
