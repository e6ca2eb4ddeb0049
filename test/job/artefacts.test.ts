/**
 * Proves that a run's artefacts follow the retriever: an index for each state of the encoder, what it found for the training questions under a name made of both, the same rows however often it is asked,
 * and nothing kept that no checkpoint refers to.
 * Alone: npx vitest run test/job/artefacts.test.ts
 */
import { mkdirSync, statSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/engine/grad-mode.js";
import { setThreads } from "../../src/engine/info.js";
import { loadConfig } from "../../src/config/load-config.js";
import type { Question } from "../../src/corpus/question.js";
import {
  currentRetriever,
  openRetrieved,
  pinned,
  retainArtefacts,
  searchTraining,
  writeRetrieved,
  type ArtefactParts,
  type TrainingSearch,
} from "../../src/job/index/artefacts.js";
import { retainSnapshots } from "../../src/job/refresh/index-upkeep.js";
import type { JobMessage } from "../../src/job/reporter.js";
import type { PendingRefresh } from "../../src/training/refresh-policy.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { writtenStore } from "../corpus/written-store.js";
import { faissMissing } from "../retrieval/faiss-here.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";
import { PASSAGES, QUESTIONS, tinyEncoder } from "../training/tiny-world.js";

setThreads(1);
const folder = temporaryFolder();
const store = writtenStore(
  path.join(folder, "store"),
  PASSAGES.map((passage) => ({ ...passage, document: passage.title })),
);
const messages: JobMessage[] = [];
const parts: ArtefactParts = {
  indexFolder: path.join(folder, "index"),
  retrievalFolder: path.join(folder, "retrieval"),
  store,
  template: "{title}. {text}",
  index: loadConfig({ overrides: ["data=quickstart"] }).config.index,
  device: "cpu",
  report: (message) => messages.push(message),
};
mkdirSync(parts.indexFolder);
mkdirSync(parts.retrievalFolder);
const encoder = tinyEncoder(0, "f32");
const asked: Question[] = QUESTIONS.map(({ question, answer }, i) => ({ id: `q${i}`, question, answers: [answer], passageIds: [] }));

function searched(changed: Partial<TrainingSearch> = {}): TrainingSearch {
  return { questions: asked, heldOut: new Set(), k: 3, ...changed };
}

describe("the index of the current retriever", () => {
  it("is built once for one state of the weights, and anew when they have changed", async () => {
    const first = await currentRetriever(parts, encoder, "index");
    expect(namesIn(parts.indexFolder)).toEqual([first.indexName]);
    expect(messages.at(-1)).toMatchObject({ type: "progress", name: "index", done: PASSAGES.length, total: PASSAGES.length });
    const count = messages.length;
    const again = await currentRetriever(parts, encoder, "index");
    expect([again.indexName, messages.length]).toEqual([first.indexName, count]);
    const bias = encoder.parameters.get("embeddings.LayerNorm.bias") ?? [...encoder.parameters.values()][0]!;
    noGrad(() => bias.add_(0.5));
    const changed = await currentRetriever(parts, encoder, "index");
    expect(changed.indexName).not.toBe(first.indexName);
    expect(namesIn(parts.indexFolder).length).toBe(2);
    for (const { retriever } of [first, again, changed]) retriever.index.dispose();
  });

  it("belongs to the encoder's hash at the moment it was pinned", () => {
    const { hash, dimension } = pinned(encoder);
    expect([hash, dimension]).toEqual([encoder.hash, encoder.dimension]);
  });
});

describe.skipIf(faissMissing !== undefined)(`an index of FAISS's${faissMissing === undefined ? "" : `: ${faissMissing}`}`, () => {
  const index = { ...parts.index, factory: "IVF2,Flat", search: "nprobe=2", threads: 1 };
  const by = (change: object): ArtefactParts => ({ ...parts, index: { ...index, ...change } });

  it("stands beside the exact one, shares its vectors, is found again, and finds the same when it looks at everything", async () => {
    const exact = await currentRetriever(parts, encoder, "index");
    const said = messages.length;
    const first = await currentRetriever(by({}), encoder, "index");
    expect(messages.slice(said).some((message) => message.type === "warning" && /trained on 4 vectors/.test(message.text))).toBe(true);
    expect(first.indexName).not.toBe(exact.indexName);
    const place = (made: { indexName: string }, name: string): string => path.join(parts.indexFolder, made.indexName, name);
    expect(statSync(place(first, "vectors.npy")).ino).toBe(statSync(place(exact, "vectors.npy")).ino);
    expect(namesIn(path.join(parts.indexFolder, first.indexName))).toEqual([
      "index.faiss",
      "index.faiss.sha256",
      "provenance.json",
      "vectors.npy",
    ]);
    const again = await currentRetriever(by({ search: "nprobe=1" }), encoder, "index");
    expect(again.indexName).toBe(first.indexName);
    const texts = asked.map(({ question }) => question);
    expect((await first.retriever.searchRows(texts, 4)).ids_QK).toEqual((await exact.retriever.searchRows(texts, 4)).ids_QK);
    for (const { retriever } of [exact, first, again]) retriever.index.dispose();
  });

  it("built anew has the same bytes: a resumed run's refresh finds what it would have found", async () => {
    const digests: string[] = [];
    for (const name of ["one", "two"]) {
      const indexFolder = path.join(folder, name);
      const { retriever, indexName } = await currentRetriever({ ...by({}), indexFolder }, encoder, "index");
      digests.push(hashFile(path.join(indexFolder, indexName, "index.faiss")));
      retriever.index.dispose();
    }
    expect(digests[1]).toBe(digests[0]);
  });

  it("is another for another factory, build or seed; what it finds is kept apart by how it is searched", async () => {
    const names = new Set<string>();
    for (const change of [{}, { factory: "Flat", search: "" }, { sample_seed: 1 }, { reproducible: false }, { train_sample: 3 }]) {
      const { retriever, indexName } = await currentRetriever(by(change), encoder, "index");
      names.add(indexName);
      retriever.index.dispose();
    }
    expect(names.size).toBe(5);
    const { retriever, indexName } = await currentRetriever(by({}), encoder, "index");
    const wide = await searchTraining(by({}), retriever, indexName, searched());
    const narrow = await searchTraining(by({ search: "nprobe=1" }), retriever, indexName, searched());
    retriever.index.dispose();
    expect(narrow.retrieval).not.toBe(wide.retrieval);
  });

  it("that was damaged is refused with the command that rebuilds it", async () => {
    const indexFolder = path.join(folder, "damaged");
    const { retriever, indexName } = await currentRetriever({ ...by({}), indexFolder }, encoder, "index");
    retriever.index.dispose();
    truncateSync(path.join(indexFolder, indexName, "index.faiss"), 100);
    const opened = await currentRetriever({ ...by({}), indexFolder }, encoder, "index");
    await expect(opened.retriever.searchRows(["Who?"], 1)).rejects.toThrow(/index\.faiss: the index is damaged.*rebuild it: tandem index/);
    opened.retriever.index.dispose();
  });
});

describe("what an index found for the training questions", () => {
  it("cozyrag 15: is kept under a name made of index, questions and k, and read back row for row", async () => {
    const { retriever, indexName } = await currentRetriever(parts, encoder, "index");
    const made = await searchTraining(parts, retriever, indexName, searched());
    expect(made.index).toBe(indexName);
    const rows = openRetrieved(parts, made.retrieval, asked.length);
    const expected = await retriever.search(
      asked.map(({ question }) => question),
      3,
    );
    expect(rows.k).toBe(3);
    expected.forEach((hits, i) => expect(rows.rowsOf(i)).toEqual(hits.map(({ row }) => row)));
    expect(await searchTraining(parts, retriever, indexName, searched())).toEqual(made);
    const others = [
      await searchTraining(parts, retriever, indexName, searched({ k: 2 })),
      await searchTraining(parts, retriever, indexName, searched({ questions: asked.slice(1) })),
      await searchTraining(parts, retriever, "0".repeat(16), searched()),
      await searchTraining(parts, retriever, indexName, searched({ heldOut: new Set([PASSAGES[0]!.title]) })),
    ];
    expect(new Set([made, ...others].map(({ retrieval }) => retrieval)).size).toBe(5);
    retriever.index.dispose();
  });

  it("never holds a passage of a validation or test document, and as many others as there are", async () => {
    const { retriever, indexName } = await currentRetriever(parts, encoder, "index");
    const free = openRetrieved(parts, (await searchTraining(parts, retriever, indexName, searched())).retrieval, asked.length);
    const heldOut = new Set([PASSAGES[0]!.title, PASSAGES[2]!.title]);
    const kept = openRetrieved(parts, (await searchTraining(parts, retriever, indexName, searched({ heldOut }))).retrieval, asked.length);
    retriever.index.dispose();
    expect(kept.k).toBe(2);
    asked.forEach((_, i) => {
      expect([...kept.rowsOf(i)].sort()).toEqual([1, 3]);
      const order = free.rowsOf(i).filter((row) => row === 1 || row === 3);
      expect(kept.rowsOf(i).slice(0, order.length)).toEqual(order);
    });
  });

  it("hands out nothing that was not found, with as many scores", () => {
    writeRetrieved(path.join(parts.retrievalFolder, "short"), {
      k: 3,
      rows_QK: Int32Array.of(2, 0, -1, 1, 3, 0),
      scores_QK: Float32Array.of(0.75, 0.5, -Infinity, 0.5, 0.25, 0.125),
    });
    const rows = openRetrieved(parts, "short", 2);
    expect([rows.rowsOf(0), rows.rowsOf(1)]).toEqual([
      [2, 0],
      [1, 3, 0],
    ]);
    expect([rows.scoresOf?.(0), rows.scoresOf?.(1)]).toEqual([
      [0.75, 0.5],
      [0.5, 0.25, 0.125],
    ]);
  });

  it("is refused when it is of other questions, cut short or gone", async () => {
    const { retriever, indexName } = await currentRetriever(parts, encoder, "index");
    const { retrieval } = await searchTraining(parts, retriever, indexName, searched());
    retriever.index.dispose();
    expect(faultOf(() => openRetrieved(parts, retrieval, asked.length + 1))).toMatch(
      /rows\.npy: does not fit the training questions; expected int32 \(9, K\), got int32 \(8, 3\)/,
    );
    const file = path.join(parts.retrievalFolder, retrieval, "rows.npy");
    truncateSync(file, 140);
    expect(faultOf(() => openRetrieved(parts, retrieval, asked.length))).toContain("rows.npy");
    expect(faultOf(() => openRetrieved(parts, "f".repeat(16), asked.length))).toContain("rows.npy");
  });
});

describe("retention", () => {
  it("leaves the vectors of a build that another process is at, and those of none", () => {
    const [indexFolder, retrievalFolder] = [temporaryFolder(), temporaryFolder()];
    const partial = `${"a".repeat(16)}.partial`;
    mkdirSync(path.join(indexFolder, partial));
    retainArtefacts({ indexFolder, retrievalFolder }, [], true);
    expect(namesIn(indexFolder)).toEqual([partial]);
    retainArtefacts({ indexFolder, retrievalFolder }, []);
    expect(namesIn(indexFolder)).toEqual([]);
  });

  it("keeps a snapshot while something refers to it whose index doesn't stand", () => {
    const run = temporaryFolder();
    const [indexFolder, retrievalFolder] = [path.join(run, "index"), path.join(run, "retrieval")];
    const under = (letter: string): PendingRefresh => {
      const name = letter.repeat(16);
      return { startedAt: 1, swapAt: 2, snapshot: name, artefacts: { index: name, retrieval: name } };
    };
    for (const letter of ["a", "b", "c"]) mkdirSync(path.join(run, "refresh", letter.repeat(16)), { recursive: true });
    mkdirSync(path.join(run, "refresh", "notes"));
    mkdirSync(path.join(indexFolder, "b".repeat(16)), { recursive: true });
    mkdirSync(path.join(retrievalFolder, "b".repeat(16)), { recursive: true });
    writeFileSync(path.join(indexFolder, "b".repeat(16), "provenance.json"), "");
    retainSnapshots(run, { indexFolder, retrievalFolder }, [under("a"), under("b")]);
    // What b found isn't there yet.
    expect(namesIn(path.join(run, "refresh"))).toEqual(["a".repeat(16), "b".repeat(16), "notes"]);
    writeFileSync(path.join(retrievalFolder, "b".repeat(16), "rows.npy"), "");
    retainSnapshots(run, { indexFolder, retrievalFolder }, [under("a"), under("b")]);
    expect(namesIn(path.join(run, "refresh"))).toEqual(["a".repeat(16), "notes"]);
    retainSnapshots(run, { indexFolder, retrievalFolder }, []);
    expect(namesIn(path.join(run, "refresh"))).toEqual(["notes"]);
  });

  it("keeps what checkpoints refer to and deletes no folder that isn't an artefact", () => {
    const [indexFolder, retrievalFolder] = [temporaryFolder(), temporaryFolder()];
    const [a, b, c, d] = ["a", "b", "c", "d"].map((letter) => letter.repeat(16)) as [string, string, string, string];
    for (const name of [a, b, c, d, "notes", "a.tmp"]) {
      mkdirSync(path.join(indexFolder, name));
      mkdirSync(path.join(retrievalFolder, name));
    }
    writeFileSync(path.join(indexFolder, a, "vectors.npy"), "");
    retainArtefacts({ indexFolder, retrievalFolder }, [{ index: a, retrieval: c }, { validated: b }, {}]);
    expect(namesIn(indexFolder)).toEqual(["a.tmp", a, b, "notes"].sort());
    expect(namesIn(retrievalFolder)).toEqual(["a.tmp", c, "notes"].sort());
    for (const name of [a, b, d]) mkdirSync(path.join(retrievalFolder, name));
    retainArtefacts({ indexFolder, retrievalFolder }, [
      { index: a, mining: { lexical: a, mined: b } },
      { validated: b, mining: { teacher: c } },
    ]);
    expect(namesIn(retrievalFolder)).toEqual(["a.tmp", a, b, c, "notes"].sort());
    retainArtefacts({ indexFolder: path.join(indexFolder, "absent"), retrievalFolder }, []);
    expect(namesIn(retrievalFolder)).toEqual(["a.tmp", "notes"]);
  });
});
