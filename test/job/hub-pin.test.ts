/**
 * Proves that a run that begins with names of the hub notes their commits before it fetches and stays with them: killed in mid-download and resumed while the branch moves, then offline. And that a finished run
 * is asked and scored without the hub and its cache; that a damaged note is refused.
 * Needs the native add-ons. Alone: npx vitest run test/job/hub-pin.test.ts
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { evaluateTrained } from "../../src/job/report/evaluate-trained.js";
import { findTrainedRun } from "../../src/job/run/find-run.js";
import { openPair } from "../../src/job/run/open-pair.js";
import { pretrainedFolder } from "../../src/job/models/pretrained.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { sha256, type HubServer } from "../storage/hub-server.js";
import { compiledTraining, workerOf } from "./compiled-training.js";
import { faultOf } from "./fault-of.js";
import { setHubEnvironment } from "./hub-environment.js";
import { BERT, bertFiles, fetched, FIRST, GPT2, gpt2Files, SECOND, settings, tinyHub } from "./hub-world.js";
import { runFolder, type Finished } from "./killed-run.js";
import { makeFiles, tinyWords, trainTiny } from "./trained-run.js";

const training = compiledTraining("hub-pin");
const WORDS = [
  `retriever.path=${BERT}`,
  `generator.path=${GPT2}`,
  "train.schedule=[{phase: refresh}, {phase: generator, steps: 2, contexts: retrieved}]",
];
const START = ["start/retriever/model.safetensors", "start/generator/model.safetensors"];
const silent = (): void => undefined;

let server: HubServer;
let folder: string;
/** A run of the first commits that nobody disturbed. */
let whole: string;

const cacheOf = (name: string): string => path.join(folder, name);
const pins = (run: string): Record<string, unknown> =>
  JSON.parse(readFileSync(path.join(run, "models.json"), "utf8")) as Record<string, unknown>;
const first = (name: string): object => ({ name, revision: "main", commit: FIRST });

/** The same model with its last weight another one. */
function changed(files: Readonly<Record<string, Buffer>>): Record<string, Buffer> {
  const weights = Buffer.from(files["model.safetensors"] ?? "");
  weights.writeFloatLE(0.5, weights.length - 4);
  return { ...files, "model.safetensors": weights };
}

function environment(cache: string, changes: Record<string, string> = {}): void {
  setHubEnvironment(folder, { HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cacheOf(cache), ...changes });
}

beforeAll(async () => {
  server = await tinyHub();
  folder = makeFiles();
  environment("whole");
  whole = await trainTiny(folder, undefined, WORDS);
}, 120_000);
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  server.troubles = {};
  server.asked.length = 0;
});

/** Kills the process that trains once so many bytes of the model's weights have come. */
async function killWhileFetching(words: readonly string[], name: string, weights: Buffer | undefined): Promise<Finished> {
  server.troubles = { slow: 20 };
  const partial = path.join(
    cacheOf("killed"),
    `models--${name.replace("/", "--")}`,
    "blobs",
    `${sha256(weights ?? Buffer.alloc(0))}.incomplete`,
  );
  const begun = (): boolean => (statSync(partial, { throwIfNoEntry: false })?.size ?? 0) > 4096;
  const { process: driver, ended } = training.start(words);
  while (!begun() && driver.exitCode === null) await sleep(5);
  const worker = workerOf(driver);
  expect(worker, "it ended before it could be killed").toBeDefined();
  process.kill(worker ?? 0, "SIGKILL");
  const result = await ended;
  server.troubles = {};
  return result;
}

describe("a run that begins with names of the hub", () => {
  it("notes name, revision and commit in its directory", () => {
    expect(pins(whole)).toEqual({ retriever: first(BERT), generator: first(GPT2) });
  });

  it("goes on with those commits after SIGKILL in mid-download, though the branch moved, and offline", async () => {
    environment("killed");
    const runs = training.runs();
    const words = [...tinyWords(folder), ...WORDS, `run.dir=${runs}`, "--quiet"];
    expect((await killWhileFetching(words, BERT, bertFiles["model.safetensors"])).code).not.toBe(0);
    const run = runFolder(runs) ?? "";
    expect(pins(run)).toEqual({ retriever: first(BERT) });
    expect(existsSync(path.join(run, "start"))).toBe(false);

    server.commit(BERT, SECOND, changed(bertFiles));
    server.asked.length = 0;
    await killWhileFetching(["--resume", run, "--quiet"], GPT2, gpt2Files["model.safetensors"]);
    expect(pins(run)).toEqual({ retriever: first(BERT), generator: first(GPT2) });
    const asked = server.asked.map((question) => question.path);
    expect(asked).toContain(`/api/models/${BERT}/revision/${FIRST}`);
    expect(asked.some((address) => address.startsWith(`/api/models/${BERT}/revision/main`))).toBe(false);
    expect(server.asked.map(({ range }) => range).find((range) => range !== undefined)).toMatch(/^bytes=\d{4,}-$/);
    expect(hashFile(path.join(run, START[0] ?? ""))).toBe(hashFile(path.join(whole, START[0] ?? "")));

    server.commit(GPT2, SECOND, changed(gpt2Files));
    environment("killed", { HF_HUB_OFFLINE: "1" });
    const before = readdirSync(run);
    const refused = await training.start(["--resume", run, "--quiet"]).ended;
    expect(refused.code, refused.stderr).toBe(2);
    expect(refused.stderr).toContain(
      `HF_HUB_OFFLINE is set; on a machine with a network, such as a login node, run: tandem fetch ${GPT2}@${FIRST}`,
    );
    expect(readdirSync(run)).toEqual(before);

    await fetched(`${GPT2}@${FIRST}`, settings(server, cacheOf("killed")));
    server.asked.length = 0;
    const last = await training.start(["--resume", run, "--quiet"]).ended;
    expect(last.code, last.stderr).toBe(0);
    expect(server.asked).toEqual([]);
    expect(pins(run)).toEqual(pins(whole));
    for (const file of START) expect(hashFile(path.join(run, file)), file).toBe(hashFile(path.join(whole, file)));
  }, 240_000);

  it("begins with what the branch is now when it is a new run", async () => {
    server.commit(BERT, SECOND, changed(bertFiles));
    environment("new");
    const run = await trainTiny(folder, new Date("2026-02-03T04:05:06Z"), WORDS);
    expect(pins(run)["retriever"]).toEqual({ name: BERT, revision: "main", commit: SECOND });
    expect(hashFile(path.join(run, START[0] ?? ""))).not.toBe(hashFile(path.join(whole, START[0] ?? "")));
  }, 120_000);
});

describe("a finished run of such names", () => {
  it("is asked and scored without the hub and without its cache", async () => {
    environment("gone", { HF_HUB_OFFLINE: "1" });
    const pair = openPair(whole);
    const [answer] = await pair.answer(["Who is the mayor of Balbal?"]);
    expect(answer?.hits.length).toBeGreaterThan(0);
    pair.dispose();
    const { made } = await evaluateTrained(findTrainedRun(whole), { report: silent });
    expect(made.report.rows.length).toBeGreaterThan(0);
    expect(server.asked).toEqual([]);
    expect(existsSync(cacheOf("gone"))).toBe(false);
  }, 120_000);
});

describe("a folder that isn't there", () => {
  it.each([
    [
      "retriever",
      /^retriever\.path: there is no folder \/no\/such; check the path, or name a model of the hub, such as sentence-transformers\/all-MiniLM-L6-v2$/,
    ],
    ["generator", /^generator\.path: there is no folder \/no\/such; check the path, or name a model of the hub, such as distilgpt2$/],
  ] as const)("is one line that names the key: %s", async (role, line) => {
    expect(await faultOf(() => pretrainedFolder(role, "/no/such", { report: silent }))).toMatch(line);
  });
});

describe("the note of the commits", () => {
  const noted = (text: string): string => {
    const run = path.join(folder, "noted");
    rmSync(run, { recursive: true, force: true });
    mkdirSync(run);
    const file = path.join(run, "models.json");
    writeFileSync(file, text);
    return file;
  };
  const asked = (file: string, value = BERT): Promise<{ folder: string }> =>
    pretrainedFolder("retriever", value, { report: silent, pins: file, hub: settings(server, cacheOf("whole"), { offline: true }) });

  it("goes before a folder that has come to stand where the name pointed", async () => {
    const file = noted(JSON.stringify({ retriever: first(BERT) }));
    const here = path.join(folder, "elsewhere", BERT);
    cpSync(path.join(cacheOf("whole"), "models--tiny-gpt2"), here, { recursive: true });
    expect((await asked(file, here)).folder).toContain(path.join("snapshots", FIRST));
  });

  it.each([
    ["", /models\.json: is empty/],
    ["[]", /models\.json: is not what it should be; expected a JSON object, got an array/],
    ['{"retriever": 3}', /models\.json, retriever: is not what it should be/],
    ['{"retriever": {"name": "a/../../b", "commit": "1"}}', /models\.json, retriever: is not what a run notes; expected name and commit/],
    [`{"retriever": {"name": "a", "commit": "../${FIRST.slice(3)}"}}`, /models\.json, retriever: is not what a run notes/],
    [`{"retriever": {"name": "tiny-org/tiny-bert", "comm`, /models\.json:1:\d+: is not JSON/],
  ])("is refused when it is %j", async (text, line) => {
    const file = noted(text);
    expect(await faultOf(() => asked(file))).toMatch(line);
    expect(readFileSync(file, "utf8")).toBe(text);
    expect(server.asked).toEqual([]);
  });
});
