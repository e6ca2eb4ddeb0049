/**
 * Proves that Tandem and Python's huggingface_hub share one cache: what Python fetched is opened offline without a request, what Tandem fetched Python finds, whole and partial, and both at once fetch a blob once.
 * And that the commands that a refusal of pickles or of an old tokenizer names really make folders that Tandem opens, with the same weights.
 * Skipped where the reference Python has no huggingface_hub, transformers … Alone: npx vitest run test/job/hub-python.test.ts
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { toFloat32Array } from "../../src/engine/tensor.js";
import type { ModelRole } from "../../src/job/models/hub-files.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { readSafetensors } from "../../src/storage/safetensors.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { sha256, type HubServer } from "../storage/hub-server.js";
import { missingPython, pythonFolder, runPythonBeside } from "../storage/reference-python.js";
import { faultOf } from "./fault-of.js";
import { hubEnvironment } from "./hub-environment.js";
import { BERT, bertFiles, fetched, filesOf, FIRST, GPT2, settings, texts, tinyHub } from "./hub-world.js";

const noHub = missingPython("huggingface_hub");
const noModels = missingPython("huggingface_hub", "torch", "transformers", "sentence_transformers", "safetensors");
const root = temporaryFolder();
let server: HubServer;
let cache: string;
let number = 0;

beforeAll(async () => {
  server = await tinyHub();
});
afterAll(() => server.close());
beforeEach(() => {
  cache = path.join(root, String(++number), "hub");
  server.troubles = {};
  server.asked.length = 0;
});

/** Runs a script with huggingface_hub looking at the server and the cache; what it prints, as JSON. */
async function python(code: string, changes: Record<string, string> = {}): Promise<unknown> {
  const env = hubEnvironment(root, { HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cache, HF_HUB_DISABLE_TELEMETRY: "1", ...changes });
  const out = await runPythonBeside(
    `import json, sys\nfrom huggingface_hub import *\nfrom huggingface_hub import _CACHED_NO_EXIST\n${code}`,
    { env },
  );
  return JSON.parse(out.trim().split("\n").at(-1) ?? "null") as unknown;
}

/** What was asked of a model; Python asks for other things too. */
const aboutModels = (): string[] => server.asked.map(({ path: asked }) => asked).filter((asked) => /\/models\/|\/resolve\//.test(asked));

const offline = (said: JobMessage[] = [], text = BERT): ReturnType<typeof fetched> =>
  fetched(text, settings(server, cache, { offline: true }), said);

describe.skipIf(noHub !== undefined)(`what Python's huggingface_hub fetched${noHub === undefined ? "" : ` (skipped: ${noHub})`}`, () => {
  it("is opened offline without a request or a warning: a whole snapshot", async () => {
    const folder = await python(`print(json.dumps(snapshot_download("${BERT}")))`);
    server.asked.length = 0;
    const said: JobMessage[] = [];
    const model = await offline(said);
    expect(model).toMatchObject({ folder, commit: FIRST, from: "cache", fetched: 0 });
    expect(texts(said, "warning")).toEqual([]);
    expect(await fetched(`${BERT}@${FIRST}`, settings(server, cache))).toMatchObject({ folder, from: "cache" });
    expect(server.asked).toEqual([]);
    const encoder = Encoder.load(model.folder);
    expect(encoder.settings.pooling).toBe("mean");
    encoder.dispose();
  }, 60_000);

  it("is opened offline: single files", async () => {
    const files = JSON.stringify(Object.keys(bertFiles));
    await python(`print(json.dumps([hf_hub_download("${BERT}", file) for file in ${files}]))`);
    server.asked.length = 0;
    const model = await offline();
    expect(server.asked).toEqual([]);
    for (const [file, content] of Object.entries(bertFiles))
      expect(readFileSync(path.join(model.folder, file)).equals(content), file).toBe(true);
  }, 60_000);

  it("isn't taken for whole when Python was asked for a part, and only the rest is fetched", async () => {
    await python(`print(json.dumps(snapshot_download("${BERT}", allow_patterns=["config.json", "tokenizer*", "*.safetensors"])))`);
    expect(await faultOf(() => offline())).toContain("no whole snapshot of such a model in the cache");
    server.asked.length = 0;
    const { fetched: bytes, folder } = await fetched(BERT, settings(server, cache));
    const rest = ["modules.json", "sentence_bert_config.json", "1_Pooling/config.json"];
    expect(bytes).toBe(rest.reduce((sum, file) => sum + (bertFiles[file]?.length ?? 0), 0));
    expect(server.asked.some(({ host }) => host === "cdn")).toBe(false);
    for (const file of rest) expect(existsSync(path.join(folder, file)), file).toBe(true);
    expect((await offline()).folder).toBe(folder);
  }, 60_000);
});

describe.skipIf(noHub !== undefined)(`what Tandem fetched${noHub === undefined ? "" : ` (skipped: ${noHub})`}`, () => {
  it("Python finds: the snapshot, each file, what isn't there, and a cache without a fault", async () => {
    const { folder } = await fetched(BERT, settings(server, cache));
    server.asked.length = 0;
    const files = Object.keys(bertFiles);
    const found = await python(`
snapshot = snapshot_download("${BERT}", local_files_only=True)
files = [hf_hub_download("${BERT}", file, local_files_only=True) for file in ${JSON.stringify(files)}]
absent = try_to_load_from_cache("${BERT}", "chat_template.jinja") is _CACHED_NO_EXIST
scan = scan_cache_dir()
[repo] = scan.repos
print(json.dumps([snapshot, files, absent, [str(w) for w in scan.warnings], repo.repo_id, list(repo.refs), repo.nb_files, repo.size_on_disk]))`);
    const size = Object.values(bertFiles).reduce((sum, content) => sum + content.length, 0);
    const paths = files.map((file) => path.join(folder, file));
    expect(found).toEqual([folder, paths, true, [], BERT, ["main"], files.length, size]);
    expect(aboutModels()).toEqual([]);
  }, 60_000);

  it("Python doesn't fetch again: of a whole snapshot only what Tandem left out", async () => {
    const { folder } = await fetched(BERT, settings(server, cache));
    server.asked.length = 0;
    expect(await python(`print(json.dumps(snapshot_download("${BERT}")))`)).toBe(folder);
    const sent = server.asked.filter(({ method }) => method === "GET").map(({ path: asked }) => asked);
    const again = Object.keys(bertFiles).filter((file) => sent.some((asked) => asked.endsWith(`/${file}`)));
    expect(again).toEqual([]);
    expect(sent.some((asked) => asked.endsWith("/README.md"))).toBe(true);
    expect(server.asked.some(({ host }) => host === "cdn")).toBe(false);
  }, 60_000);

  it.skipIf(noModels !== undefined)(
    `opens in sentence-transformers and transformers by name${noModels === undefined ? "" : ` (skipped: ${noModels})`}`,
    async () => {
      const { folder } = await fetched(BERT, settings(server, cache));
      await fetched(GPT2, settings(server, cache));
      server.asked.length = 0;
      const found = (await python(
        `
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer
vector = SentenceTransformer("${BERT}", device="cpu").encode(["a river"])[0]
model = AutoModelForCausalLM.from_pretrained("${GPT2}")
print(json.dumps([vector.tolist(), AutoTokenizer.from_pretrained("${GPT2}").vocab_size, model.config.vocab_size]))`,
        { HF_HUB_OFFLINE: "1" },
      )) as [number[], number, number];
      const encoder = Encoder.load(folder);
      const own = encoder.embed(["a river"]);
      toFloat32Array(own).forEach((value, i) => expect(value).toBeCloseTo(found[0][i] ?? NaN, 5));
      own.dispose();
      encoder.dispose();
      expect(found[2]).toBeGreaterThan(0);
      expect(aboutModels()).toEqual([]);
    },
    180_000,
  );
});

describe.skipIf(noHub !== undefined)(`Python and Tandem at once${noHub === undefined ? "" : ` (skipped: ${noHub})`}`, () => {
  it("fetch a blob once: each waits for the other's lock", async () => {
    const digest = sha256(bertFiles["model.safetensors"] ?? Buffer.alloc(0));
    server.troubles = { slow: 5 };
    const begun = python(`print(json.dumps(snapshot_download("${BERT}")))`);
    const isFetching = (): boolean => server.asked.some(({ method, path: asked }) => method === "GET" && asked.includes(digest));
    await expect.poll(isFetching, { timeout: 30_000 }).toBe(true);
    const said: JobMessage[] = [];
    const { folder } = await fetched(BERT, settings(server, cache), said);
    expect(await begun).toBe(folder);
    expect(texts(said, "note").join()).toContain("another process is fetching it; waiting");
    expect(server.asked.filter(({ method, path: asked }) => method === "GET" && asked.includes(digest)).length).toBe(1);
    expect(sha256(readFileSync(path.join(folder, "model.safetensors")))).toBe(digest);
  }, 60_000);
});

/** The files of a model as older tools saved it: made by Python, in a folder of its own. */
async function olderModel(name: string, code: string): Promise<Record<string, Buffer>> {
  const folder = path.join(root, `older-${name}`);
  mkdirSync(folder, { recursive: true });
  const goldens = path.resolve(import.meta.dirname, "../fixtures/goldens");
  const env = hubEnvironment(root, { HF_HUB_OFFLINE: "1" });
  await runPythonBeside(
    `import sys, os, json, shutil, torch\nfrom safetensors.torch import load_file\ngoldens, out = sys.argv[1:]\ndef copy(model, *names):\n  for n in names: os.makedirs(os.path.dirname(f"{out}/{n}"), exist_ok=True); shutil.copy(f"{goldens}/{model}/{n}", f"{out}/{n}")\n${code}`,
    { words: [goldens, folder], env },
  );
  return filesOf(folder);
}

/** The command in a refusal, run as a user would paste it: the folder that it makes. */
async function pasted(message: string): Promise<string> {
  const [, command = ""] = /convert it: (.*) and set \S+ to \.\/\S+$/.exec(message) ?? [];
  const folder = path.join(root, `converted-${number}`);
  mkdirSync(folder, { recursive: true });
  const PATH = `${pythonFolder}:${process.env["PATH"] ?? ""}`;
  const env = hubEnvironment(root, { HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cache, PATH, DISABLE_SAFETENSORS_CONVERSION: "1" });
  const child = spawn("bash", ["-c", command], { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  expect(status, `${command}\n${said}`).toBe(0);
  const [made = ""] = readdirSync(folder);
  expect(message).toMatch(new RegExp(`\\./${made}$`));
  return path.join(folder, made);
}

async function refused(name: string, files: Record<string, Buffer>, role: ModelRole): Promise<string> {
  server.commit(name, FIRST, files);
  const message = await faultOf(() => fetched(name, settings(server, cache), [], { role }));
  expect(readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((entry) => entry.includes("snapshots"))).toEqual([]);
  return message;
}

/** Every tensor of the first is in the second, byte for byte. */
function expectSameWeights(expected: string, folder: string): void {
  const got = readSafetensors(path.join(folder, "model.safetensors")).tensors;
  for (const [name, { data }] of readSafetensors(expected).tensors)
    expect(Buffer.from(got.get(name)?.data ?? []).equals(Buffer.from(data)), name).toBe(true);
}

describe.skipIf(noModels !== undefined)(`the command that converts${noModels === undefined ? "" : ` (skipped: ${noModels})`}`, () => {
  const goldens = path.resolve(import.meta.dirname, "../fixtures/goldens");

  it("a generator's pickle", async () => {
    const files = await olderModel(
      "gpt",
      `copy("gpt2-tiny", "config.json", "tokenizer.json", "tokenizer_config.json")
torch.save(load_file(f"{goldens}/gpt2-tiny/model.safetensors"), f"{out}/pytorch_model.bin")`,
    );
    expect(Object.keys(files)).not.toContain("model.safetensors");
    mkdirSync(cache, { recursive: true });
    const message = await refused("old-org/pickled-gpt", files, "generator");
    expect(message).toMatch(
      /^generator\.path: old-org\/pickled-gpt: has no safetensors weights, and a pickle can run code when it is opened; expected model\.safetensors, got pytorch_model\.bin; /,
    );
    const folder = await pasted(message);
    const model = loadCausalModel(folder);
    expect(model.parameters.size).toBeGreaterThan(10);
    for (const weight of model.parameters.values()) weight.dispose();
    expectSameWeights(path.join(goldens, "gpt2-tiny/model.safetensors"), folder);
  }, 240_000);

  it("a sentence-transformers pickle, with its pooling", async () => {
    const names = JSON.stringify(Object.keys(bertFiles).filter((name) => name !== "model.safetensors"));
    const files = await olderModel(
      "sentence",
      `copy("bert-tiny", *${names})
torch.save(load_file(f"{goldens}/bert-tiny/model.safetensors"), f"{out}/pytorch_model.bin")`,
    );
    mkdirSync(cache, { recursive: true });
    const folder = await pasted(await refused("old-org/pickled-sentences", files, "retriever"));
    const [own, expected] = [Encoder.load(folder), Encoder.load(path.join(goldens, "bert-tiny"))];
    expect(own.settings).toEqual(expected.settings);
    expectSameWeights(path.join(goldens, "bert-tiny/model.safetensors"), folder);
    own.dispose();
    expected.dispose();
  }, 240_000);

  it("an old tokenizer beside safetensors", async () => {
    const files = await olderModel(
      "words",
      `copy("bert-tiny", "config.json", "model.safetensors")
vocabulary = json.load(open(f"{goldens}/bert-tiny/tokenizer.json"))["model"]["vocab"]
open(f"{out}/vocab.txt", "w").write("".join(f"{word}\\n" for word in sorted(vocabulary, key=vocabulary.get)))`,
    );
    mkdirSync(cache, { recursive: true });
    const message = await refused("old-org/old-words", files, "retriever");
    expect(message).toMatch(/has only an old tokenizer; expected tokenizer\.json; /);
    const folder = await pasted(message);
    const encoder = Encoder.load(folder);
    const known = Encoder.load(path.join(goldens, "bert-tiny"));
    expect(encoder.tokenizer.encode("The market sells rope.")).toEqual(known.tokenizer.encode("The market sells rope."));
    encoder.dispose();
    known.dispose();
  }, 240_000);
});
