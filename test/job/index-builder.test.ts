/**
 * Proves the second process of an asynchronous refresh alone, as a real process over compiled sources: it makes the very artefacts that the training process would make, goes on where a killed one was, and a mistake of the user's
 * (a snapshot that is gone, cut short or empty) comes back as its one line, nothing half-written.
 * Alone: npx vitest run test/job/index-builder.test.ts
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { setThreads } from "../../src/engine/info.js";
import { currentRetriever, indexNameOf, retrievalName, searchTraining, type ArtefactParts } from "../../src/job/index/artefacts.js";
import type { BuildOrder } from "../../src/job/refresh/build-order.js";
import type { IndexBuilder } from "../../src/job/refresh/index-builder.js";
import { positivesOf } from "../../src/job/mining/positive-scores.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { writtenStore } from "../corpus/written-store.js";
import { namesIn, temporaryFolder } from "../storage/bad-input.js";
import { PASSAGES, QUESTIONS, tinyEncoder } from "../training/tiny-world.js";
import { compiledTraining } from "./compiled-training.js";

setThreads(1);
const compiled = compiledTraining("index-builder");
const folder = temporaryFolder();
const store = writtenStore(
  path.join(folder, "store"),
  PASSAGES.map((passage) => ({ ...passage, document: passage.title })),
);
const encoder = tinyEncoder(0, "f32");
const snapshot = path.join(folder, "snapshot");
const search = { questions: QUESTIONS.map(({ question }, i) => ({ id: `q${i}`, question })), heldOut: new Set([PASSAGES[3]!.title]), k: 2 };
const { index } = loadConfig({ overrides: ["data=quickstart"] }).config;

let start: (order: BuildOrder, report: (message: JobMessage) => void) => IndexBuilder;

function parts(name: string): ArtefactParts {
  const made = { indexFolder: path.join(folder, name, "index"), retrievalFolder: path.join(folder, name, "retrieval") };
  for (const each of Object.values(made)) mkdirSync(each, { recursive: true });
  return { ...made, store, template: "{title}. {text}", index, device: "cpu", report: () => undefined };
}

function orderOf(made: ArtefactParts, changed: Partial<BuildOrder> = {}): BuildOrder {
  const indexName = indexNameOf(made, encoder);
  return {
    encoder: snapshot,
    overrides: {},
    corpus: store.folder,
    template: made.template,
    indexFolder: made.indexFolder,
    retrievalFolder: made.retrievalFolder,
    index,
    device: "cpu",
    threads: 1,
    search: { ...search, heldOut: [...search.heldOut] },
    expected: { index: indexName, retrieval: retrievalName(index, indexName, search) },
    ...changed,
  };
}

/** The second process that this one has. */
function childOf(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const children = threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim().split(/\s+/).map(Number),
  );
  const found = children.find((child) => child > 0 && readFileSync(`/proc/${child}/cmdline`, "utf8").includes("refresh-process"));
  if (found === undefined) throw new Error("there is no second process");
  return found;
}

beforeAll(async () => {
  encoder.save(snapshot);
  const file = path.join(path.dirname(compiled.tandem), "../dist/src/job/refresh/index-builder.js");
  const { IndexBuilder: Compiled } = (await import(file)) as { IndexBuilder: { start: typeof start } };
  start = (order, report) => Compiled.start(order, report);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the process that makes an index beside training", () => {
  it("makes the artefacts that the training process would make, byte for byte, and says how far it is", async () => {
    const [here, there] = [parts("here"), parts("there")];
    const { retriever, indexName } = await currentRetriever(here, encoder, "refresh");
    const expected = await searchTraining(here, retriever, indexName, search);
    retriever.index.dispose();
    const order = orderOf(there);
    expect(order.expected).toEqual(expected);
    const said: JobMessage[] = [];
    await start(order, (message) => said.push(message)).finished();
    for (const file of [`${expected.index}/vectors.npy`, `${expected.index}/provenance.json`])
      expect(hashFile(path.join(there.indexFolder, file))).toBe(hashFile(path.join(here.indexFolder, file)));
    const rows = `${expected.retrieval}/rows.npy`;
    expect(hashFile(path.join(there.retrievalFolder, rows))).toBe(hashFile(path.join(here.retrievalFolder, rows)));
    expect(said.filter(({ type }) => type === "progress").at(-1)).toMatchObject({ done: PASSAGES.length, total: PASSAGES.length });
    // Done again: there is nothing left to do.
    await start(order, () => undefined).finished();
    expect([namesIn(there.indexFolder), namesIn(there.retrievalFolder)]).toEqual([[expected.index], [expected.retrieval]]);
  }, 60_000);

  it("scores the questions' positives as the training process would, byte for byte", async () => {
    const [here, there] = [parts("scored here"), parts("scored there")];
    const goldRows = QUESTIONS.map((_, i) => (i === 0 ? [] : [i % PASSAGES.length, (i + 1) % PASSAGES.length]));
    const about = { questions: search.questions, goldRows, metric: here.index.metric, store, template: here.template };
    const { retriever, indexName } = await currentRetriever(here, encoder, "refresh");
    const expected = await searchTraining(here, retriever, indexName, { ...search, positives: positivesOf(encoder, about) });
    retriever.index.dispose();
    const order = orderOf(there);
    await start({ ...order, search: { ...order.search, goldRows }, expected }, () => undefined).finished();
    expect(expected.retrieval).not.toBe(order.expected.retrieval);
    for (const name of ["rows.npy", "scores.npy", "positives.npy"]) {
      const file = path.join(expected.retrieval, name);
      expect(hashFile(path.join(there.retrievalFolder, file))).toBe(hashFile(path.join(here.retrievalFolder, file)));
    }
  }, 60_000);

  it.each([
    ["is gone", (target: string) => rmSync(target, { recursive: true }), /absent|no such|not there|missing|doesn't exist|ENOENT/i],
    ["holds cut weights", (target: string) => truncateSync(path.join(target, "model.safetensors"), 1000), /model\.safetensors/],
    ["holds no config", (target: string) => writeFileSync(path.join(target, "config.json"), ""), /config\.json/],
  ] as const)(
    "says in one line that its snapshot %s",
    async (_, spoil, wanted) => {
      const made = parts("spoilt");
      const target = path.join(folder, "spoilt", "snapshot");
      rmSync(target, { recursive: true, force: true });
      cpSync(snapshot, target, { recursive: true });
      spoil(target);
      const fault = await start(orderOf(made, { encoder: target }), () => undefined)
        .finished()
        .then(() => undefined)
        .catch((error: unknown) => error as Error);
      expect(fault?.name).toBe("UserError");
      expect(fault?.message).toMatch(wanted);
      expect(fault?.message).not.toContain("\n");
      expect([namesIn(made.indexFolder), namesIn(made.retrievalFolder)]).toEqual([[], []]);
    },
    60_000,
  );

  it("says that it was killed, whether it had its order by then or not", async () => {
    for (const wait of [0, 1, 50, "its first words"] as const) {
      const made = parts(`killed after ${wait}`);
      let heard = (): void => undefined;
      const atWork = new Promise<void>((resolve) => (heard = resolve));
      const builder = start(orderOf(made), () => heard());
      const pid = childOf(process.pid);
      await (wait === "its first words" ? atWork : sleep(wait));
      process.kill(pid, "SIGKILL");
      const fault = await builder.finished().catch((error: unknown) => error as Error);
      expect(fault?.name, String(fault)).toBe("UserError");
      expect(fault?.message).toMatch(/was ended by SIGKILL/);
      // A fast machine may have made them by then: each is there whole, or not at all.
      const { expected } = orderOf(made);
      for (const [there, whole, file] of [
        [made.indexFolder, expected.index, "provenance.json"],
        [made.retrievalFolder, expected.retrieval, "rows.npy"],
      ] as const)
        if (existsSync(path.join(there, whole))) expect(existsSync(path.join(there, whole, file))).toBe(true);
    }
  }, 60_000);

  it("is ended at once, with no fault of its own", async () => {
    const made = parts("stopped");
    const builder = start(orderOf(made), () => undefined);
    await builder.stop();
    expect(builder.failure).toBeUndefined();
    expect(existsSync(path.join(made.retrievalFolder, orderOf(made).expected.retrieval))).toBe(false);
  }, 60_000);
});
