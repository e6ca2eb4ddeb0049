/**
 * Proves that a trained run is found, opened and asked as it was trained: the latest one, an unfinished one, a stale or damaged index with the command that mends it, and questions at the limits.
 * Alone: npx vitest run test/job/open-pair.test.ts
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { liveTensors } from "../../src/engine/scope.js";
import { findTrainedRun } from "../../src/job/run/find-run.js";
import { makeIndex } from "../../src/job/index/make-index.js";
import { openPair, searchFolders } from "../../src/job/run/open-pair.js";
import { openEncodedStore } from "../../src/job/index/open-search.js";
import { PartialVectors } from "../../src/retrieval/partial-vectors.js";
import { indexName } from "../../src/retrieval/provenance.js";
import { faultOf } from "./fault-of.js";
import { ARTICLES, idOf, trainedWorld, type World } from "./trained-run.js";

let world: World;
beforeAll(async () => {
  world = await trainedWorld();
}, 300_000);
afterAll(() => {
  world.remove();
});

let copies = 0;
/** A copy of the run that a test may damage. */
function copied(): string {
  const copy = path.join(world.folder, `copy-${copies++}`);
  cpSync(world.run, copy, { recursive: true });
  return copy;
}

const report = (): void => undefined;
const questionsOf = (count: number): string[] => ARTICLES.slice(0, count).map(({ title }) => `Who is the mayor of ${title}?`);

/** The folder of the index that belongs to the run's trained retriever. */
async function currentIndex(run: string): Promise<string> {
  const folders = searchFolders(findTrainedRun(run), "cpu");
  return (await makeIndex({ ...folders, faiss: true, rebuild: false, report })).folder;
}

describe("which run", () => {
  it("latest is the newest trained one; an unfinished one doesn't count", async () => {
    const root = path.join(world.folder, "many");
    mkdirSync(root);
    for (const name of ["20250101-000000-a", "20260101-000000-b", "20260101-000000-b+2", "20260101-000000-b+10"])
      cpSync(world.run, path.join(root, name), { recursive: true });
    cpSync(world.run, path.join(root, "20270101-000000-c"), { recursive: true });
    rmSync(path.join(root, "20270101-000000-c", "generator"), { recursive: true });
    mkdirSync(path.join(root, "20280101-000000-d"));
    expect(findTrainedRun("latest", [], root).places.path).toBe(path.join(root, "20260101-000000-b+10"));
    expect(await faultOf(() => findTrainedRun("latest", [], path.join(world.folder, "nowhere")))).toMatch(
      /holds no finished run.*tandem train/,
    );
  });

  it("latest sees a sweep's runs, where the sweep stands among the others", () => {
    const root = path.join(world.folder, "swept");
    const sweep = path.join(root, "20260101-000000-a-multirun");
    mkdirSync(sweep, { recursive: true });
    writeFileSync(path.join(sweep, "sweep.json"), "{}");
    for (const name of ["20260101-000000-a", "20260101-000000-a+2"]) cpSync(world.run, path.join(sweep, name), { recursive: true });
    expect(findTrainedRun("latest", [], root).places.path).toBe(path.join(sweep, "20260101-000000-a+2"));
    cpSync(world.run, path.join(root, "20250101-000000-older"), { recursive: true });
    cpSync(world.run, path.join(root, "copy-of-a-run"), { recursive: true });
    expect(findTrainedRun("latest", [], root).places.path).toBe(path.join(sweep, "20260101-000000-a+2"));
    cpSync(world.run, path.join(root, "20270101-000000-newer"), { recursive: true });
    expect(findTrainedRun("latest", [], root).places.path).toBe(path.join(root, "20270101-000000-newer"));
  });

  it("an unfinished run is refused with the command that goes on with it", async () => {
    const run = copied();
    rmSync(path.join(run, "generator"), { recursive: true });
    expect(await faultOf(() => openPair(run))).toBe(
      `${run}: the run isn't finished; expected retriever/ and generator/, got no generator/; go on with it: tandem train --resume ${run}`,
    );
  });

  it("what is no run is named", async () => {
    expect(await faultOf(() => openPair(path.join(world.folder, "none")))).toMatch(/no such folder/);
    expect(await faultOf(() => openPair(world.folder))).toMatch(/is not a run directory/);
  });
});

describe("search", () => {
  it("finds each passage by its own text, best first, with scores that fall", async () => {
    const pair = openPair(world.run);
    const texts = ARTICLES.map(({ title, text }) => `${title}. ${text}`);
    const found = await pair.search(texts, 3);
    found.forEach((hits, i) => {
      expect(hits.map(({ rank }) => rank)).toEqual([1, 2, 3]);
      expect(hits[0]?.passage.id).toBe(idOf(ARTICLES[i] ?? { id: "", title: "", text: "" }));
      expect(hits[0]?.score).toBeCloseTo(1, 3);
      for (let rank = 1; rank < hits.length; rank++) expect(hits[rank]?.score).toBeLessThanOrEqual(hits[rank - 1]?.score ?? 0);
    });
    pair.dispose();
  });

  it("many questions at once find what one at a time finds", async () => {
    const pair = openPair(world.run);
    const questions = questionsOf(10);
    const together = await pair.search(questions, 4);
    for (const [i, question] of questions.entries()) {
      const [alone] = await pair.search([question], 4);
      expect(alone?.map(({ row }) => row)).toEqual(together[i]?.map(({ row }) => row));
    }
    pair.dispose();
  });

  it("a k above the corpus gives the whole corpus, each passage once", async () => {
    const pair = openPair(world.run);
    const [hits] = await pair.search(["Who is the mayor?"], 1000);
    expect(new Set(hits?.map(({ row }) => row)).size).toBe(ARTICLES.length);
    pair.dispose();
  });

  it("a question longer than the retriever reads is searched by its beginning, and counted", async () => {
    const pair = openPair(world.run);
    const long = `Who is the mayor of ${"the town ".repeat(300)}?`;
    expect(pair.tokensUnread(long)).toBeGreaterThan(100);
    expect(pair.tokensUnread("Who?")).toBe(0);
    expect((await pair.search([long], 2))[0]).toHaveLength(2);
    pair.dispose();
  });

  it("an empty question is refused by its place", async () => {
    const pair = openPair(world.run);
    expect(await faultOf(() => pair.search(["Who?", "  "]))).toMatch(/^question 2: is empty/);
    expect(await faultOf(() => pair.answer([""]))).toMatch(/^question: is empty/);
    pair.dispose();
  });
});

describe("answers", () => {
  it("come with the passages that were found, as many as the run's prompt holds", async () => {
    const pair = openPair(world.run);
    const questions = questionsOf(3);
    const answers = await pair.answer(questions);
    const found = await pair.search(questions);
    expect(answers.map(({ question }) => question)).toEqual(questions);
    expect(answers.map(({ hits }) => hits.map(({ row }) => row))).toEqual(found.map((hits) => hits.map(({ row }) => row)));
    expect(answers[0]?.hits).toHaveLength(2);
    expect((await pair.answer(questions, { k: 1 }))[0]?.hits).toHaveLength(1);
    pair.dispose();
  });

  it("equal those that the run's own evaluation wrote", async () => {
    const lines = readFileSync(path.join(world.run, "validation", "final.jsonl"), "utf8")
      .trimEnd()
      .split("\n");
    const written = lines.map((line) => JSON.parse(line) as { question: string; prediction: string; passages: { id: string }[] });
    expect(written.length).toBe(5);
    const pair = openPair(world.run);
    const answers = await pair.answer(written.map(({ question }) => question));
    expect(answers.map(({ answer }) => answer)).toEqual(written.map(({ prediction }) => prediction));
    expect(answers.map(({ hits }) => hits.map(({ passage }) => passage.id))).toEqual(
      written.map(({ passages }) => passages.map(({ id }) => id)),
    );
    pair.dispose();
  });

  it("without retrieval need neither index nor corpus", async () => {
    const run = copied();
    for (const name of ["index", "corpus", "retriever"]) renameSync(path.join(run, name), path.join(run, `${name}-away`));
    mkdirSync(path.join(run, "retriever"));
    const pair = openPair(run);
    const [answer] = await pair.answer(["Who?"], { retrieval: false });
    expect(answer?.hits).toEqual([]);
    pair.dispose();
  });

  it("a question that alone is longer than the generator's input is refused", async () => {
    const pair = openPair(world.run);
    expect(await faultOf(() => pair.answer(["town ".repeat(2000)]))).toMatch(
      /doesn't fit the prompt without any passage; expected at most \d+ tokens/,
    );
    pair.dispose();
  });

  it("leave no tensor behind once the pair is disposed", async () => {
    const before = liveTensors().tensors;
    const pair = openPair(world.run);
    await pair.answer(questionsOf(2));
    expect(liveTensors().tensors).toBeGreaterThan(before);
    pair.dispose();
    expect(liveTensors().tensors).toBe(before);
  });
});

describe("the index", () => {
  it("that the run made is the trained retriever's", async () => {
    const pair = openPair(world.run);
    await pair.search(["Who?"], 1);
    pair.dispose();
    expect((await makeIndex({ ...searchFolders(findTrainedRun(world.run), "cpu"), faiss: true, rebuild: false, report })).outcome).toBe(
      "verified",
    );
  });

  it("of another retriever is refused with the command that mends it, and that command does", async () => {
    const run = copied();
    rmSync(path.join(run, "retriever"), { recursive: true });
    cpSync(path.join(run, "start", "retriever"), path.join(run, "retriever"), { recursive: true });
    const pair = openPair(run);
    const fault = await faultOf(() => pair.search(["Who?"]));
    expect(fault).toMatch(/the index was built with another retriever: it is stale; expected encoder [0-9a-f]+, got [0-9a-f]+/);
    expect(fault.endsWith(`rebuild it: tandem index --run ${run}`)).toBe(true);
    await currentIndex(run);
    expect((await pair.search(["Who?"], 1))[0]).toHaveLength(1);
    pair.dispose();
  });

  it("that is missing is named with the command that builds it", async () => {
    const run = copied();
    rmSync(path.join(run, "index"), { recursive: true });
    expect(await faultOf(() => openPair(run).search(["Who?"]))).toMatch(/there is no index.*rebuild it: tandem index --run /);
  });

  it("that was tampered with is refused", async () => {
    const run = copied();
    const file = path.join(await currentIndex(run), "provenance.json");
    writeFileSync(file, readFileSync(file, "utf8").replace(/"encoder": "[0-9a-f]{4}/, '"encoder": "0000'));
    expect(await faultOf(() => openPair(run).search(["Who?"]))).toMatch(/it is stale.*rebuild it: tandem index --run .* --rebuild$/);
  });

  it.each([
    ["vectors.npy cut off", (folder: string) => truncateSync(path.join(folder, "vectors.npy"), 200)],
    ["vectors.npy empty", (folder: string) => writeFileSync(path.join(folder, "vectors.npy"), "")],
    ["provenance.json no JSON", (folder: string) => writeFileSync(path.join(folder, "provenance.json"), "{")],
    ["provenance.json of another kind", (folder: string) => writeFileSync(path.join(folder, "provenance.json"), "[1]")],
  ])("with %s is refused in one line, and --rebuild mends it", async (_, damage) => {
    const run = copied();
    const folder = await currentIndex(run);
    damage(folder);
    const fault = await faultOf(() => openPair(run).search(["Who?"]));
    expect(fault).toContain(folder);
    expect(fault.endsWith(`rebuild it: tandem index --run ${run} --rebuild`)).toBe(true);
    const folders = { ...searchFolders(findTrainedRun(run), "cpu"), faiss: true, report };
    expect(await faultOf(() => makeIndex({ ...folders, rebuild: false }))).toContain("--rebuild");
    expect((await makeIndex({ ...folders, rebuild: true })).outcome).toBe("rebuilt");
    expect((await openPair(run).search(["Who?"], 1))[0]).toHaveLength(1);
  });
});

describe("building the index alone", () => {
  it("goes on from the vectors of a build that was killed, and leaves nothing of it", async () => {
    const run = copied();
    const folder = await currentIndex(run);
    const parent = path.dirname(folder);
    const whole = readFileSync(path.join(folder, "vectors.npy"));
    for (const name of readdirSync(parent)) rmSync(path.join(parent, name), { recursive: true });
    const store = openEncodedStore(searchFolders(findTrainedRun(run), "cpu"));
    const partial = PartialVectors.open(parent, indexName(store.provenance), {
      rows: ARTICLES.length,
      columns: store.provenance.dimension,
    });
    store.encoder.dispose();
    // The first ten rows, each a negative of itself: whoever embeds them anew gives other signs.
    const rowBytes = 4 * store.provenance.dimension;
    const start = whole.length - ARTICLES.length * rowBytes;
    const ten = Buffer.from(whole.subarray(start, start + 10 * rowBytes));
    for (let at = 3; at < ten.length; at += 4) ten[at] = (ten[at] ?? 0) ^ 0x80;
    partial?.append(ten);
    partial?.finished();
    partial?.leave();
    expect(path.basename(await currentIndex(run))).toBe(path.basename(folder));
    expect(
      readFileSync(path.join(folder, "vectors.npy"))
        .subarray(start, start + ten.length)
        .equals(ten),
    ).toBe(true);
    expect(readdirSync(parent)).toEqual([path.basename(folder)]);
  });
});

describe("damaged folders of a run", () => {
  it.each([
    ["generator/model.safetensors", /model\.safetensors/],
    ["retriever/model.safetensors", /model\.safetensors/],
    ["corpus/manifest.json", /manifest\.json/],
    ["config.yaml", /config\.yaml/],
  ])("%s cut off: one line that names it", async (name, expected) => {
    const run = copied();
    truncateSync(path.join(run, name), 40);
    expect(await faultOf(() => openPair(run).answer(["Who?"]))).toMatch(expected);
  });

  it("config.yaml cut off at the end of any of its lines is never taken for whole", async () => {
    const run = copied();
    const file = path.join(run, "config.yaml");
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    for (let kept = 5; kept < lines.length; kept += 1) {
      // Without the last section, which says where numbers are sent, it is a run of before there was such a section.
      if (lines[kept] === "tracking:") continue;
      writeFileSync(file, `${lines.slice(0, kept).join("\n")}\n`);
      expect(await faultOf(() => findTrainedRun(run)), `${kept} lines`).toMatch(/config\.yaml/);
    }
    writeFileSync(file, `${lines.join("\n")}\n`);
    expect(findTrainedRun(run).places.path).toBe(run);
  });
});
