/**
 * Proves that models come from the hub whole or not at all: only what is read is fetched, into huggingface_hub's layout; a cut download goes on; wrong bytes are refused; the token stays with the endpoint; without
 * a network the cache is used and said, or one line names the command. Against a server on this machine. Alone: npx vitest run test/job/hub-model.test.ts
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobMessage } from "../../src/job/reporter.js";
import { loadCausalModel } from "../../src/nn/registry.js";
import { Encoder } from "../../src/retrieval/encoder.js";
import { lockFile } from "../../src/storage/file-lock.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { gitHash, LARGE, sha256, type HubServer } from "../storage/hub-server.js";
import { faultOf } from "./fault-of.js";
import { BERT, bertFiles, fetched, FIRST, GPT2, gpt2Files, SECOND, settings, texts, tinyHub } from "./hub-world.js";

let server: HubServer;
let cache: string;
const root = temporaryFolder();
let number = 0;
const weights = bertFiles["model.safetensors"] ?? Buffer.alloc(0);
const digest = sha256(weights);
const inCache = (...parts: string[]): string => path.join(cache, ...parts);
const blob = (name = digest): string => inCache("models--tiny-org--tiny-bert", "blobs", name);

beforeAll(async () => {
  server = await tinyHub();
});
afterAll(() => server.close());
beforeEach(() => {
  cache = path.join(root, String(++number), "hub");
  server.troubles = {};
  server.asked.length = 0;
});

describe("a fetched model", () => {
  it("stands in huggingface_hub's layout: blobs by hash, relative links, the commit of the branch", async () => {
    const model = await fetched(BERT, settings(server, cache));
    const folder = inCache("models--tiny-org--tiny-bert", "snapshots", FIRST);
    expect(model).toMatchObject({ folder, name: BERT, revision: "main", commit: FIRST, from: "hub" });
    expect(readFileSync(inCache("models--tiny-org--tiny-bert", "refs", "main"), "utf8")).toBe(FIRST);
    expect(readlinkSync(path.join(folder, "model.safetensors"))).toBe(`../../blobs/${digest}`);
    const pooling = bertFiles["1_Pooling/config.json"] ?? Buffer.alloc(0);
    expect(readlinkSync(path.join(folder, "1_Pooling", "config.json"))).toBe(`../../../blobs/${gitHash(pooling)}`);
    expect(lstatSync(blob()).isFile()).toBe(true);
    for (const [file, content] of Object.entries(bertFiles)) expect(readFileSync(path.join(folder, file)).equals(content), file).toBe(true);
    expect(existsSync(inCache("models--tiny-org--tiny-bert", ".no_exist", FIRST, "chat_template.jinja"))).toBe(true);
  });

  it("opens as an encoder and as a generator", async () => {
    const encoder = Encoder.load((await fetched(BERT, settings(server, cache))).folder);
    expect(encoder.settings.pooling).toBe("mean");
    encoder.dispose();
    const model = loadCausalModel((await fetched(GPT2, settings(server, cache))).folder);
    expect(model.parameters.size).toBeGreaterThan(10);
    for (const weight of model.parameters.values()) weight.dispose();
  });

  it("is only what Tandem reads", async () => {
    const { folder, fetched: bytes } = await fetched(GPT2, settings(server, cache));
    const read = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
    expect(readdirSync(folder).sort()).toEqual(read);
    expect(bytes).toBe(read.reduce((sum, file) => sum + (gpt2Files[file]?.length ?? 0), 0));
  });

  it("is fetched once: the second time only the list is asked for, a whole commit asks nothing", async () => {
    await fetched(BERT, settings(server, cache));
    server.asked.length = 0;
    expect(await fetched(BERT, settings(server, cache))).toMatchObject({ from: "hub", fetched: 0 });
    expect(server.asked.map(({ path: asked }) => asked)).toEqual([`/api/models/${BERT}/revision/main`]);
    server.asked.length = 0;
    expect(await fetched(`${BERT}@${FIRST}`, settings(server, cache))).toMatchObject({ from: "cache", commit: FIRST });
    expect(server.asked).toEqual([]);
  });

  it("follows its branch, and keeps a file that didn't change as one blob", async () => {
    const other = await startedAgain();
    await fetched(BERT, settings(other, cache));
    other.commit(BERT, SECOND, { ...bertFiles, "config.json": `${String(bertFiles["config.json"])}\n` });
    const second = await fetched(BERT, settings(other, cache));
    expect(second.commit).toBe(SECOND);
    expect(second.fetched).toBe((bertFiles["config.json"]?.length ?? 0) + 1);
    expect(readFileSync(inCache("models--tiny-org--tiny-bert", "refs", "main"), "utf8")).toBe(SECOND);
    expect(existsSync(inCache("models--tiny-org--tiny-bert", "snapshots", FIRST, "model.safetensors"))).toBe(true);
    await other.close();
  });

  it("may be in shards, and in sentence-transformers' older folder of its own", async () => {
    const other = await startedAgain();
    const index = JSON.stringify({ weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" } });
    const { "model.safetensors": whole = Buffer.alloc(0), ...rest } = gpt2Files;
    const shards = {
      "model-00001-of-00002.safetensors": whole,
      "model-00002-of-00002.safetensors": whole,
      "model.safetensors.index.json": index,
    };
    other.commit("org/shards", FIRST, { ...rest, ...shards });
    const { folder } = await fetched("org/shards", settings(other, cache));
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(Object.keys(shards)));
    const modules = JSON.stringify([
      { idx: 0, name: "0", path: "0_Transformer", type: "sentence_transformers.models.Transformer" },
      { idx: 1, name: "1", path: "1_Pooling", type: "sentence_transformers.models.Pooling" },
    ]);
    const model = without(bertFiles, "modules.json", "1_Pooling/config.json");
    const pooling = bertFiles["1_Pooling/config.json"] ?? "";
    const inner = Object.fromEntries(Object.entries(model).map(([file, content]) => [`0_Transformer/${file}`, content]));
    other.commit("org/older", FIRST, { ...inner, "modules.json": modules, "1_Pooling/config.json": pooling });
    const encoder = Encoder.load((await fetched("org/older", settings(other, cache))).folder);
    expect(encoder.dimension).toBeGreaterThan(0);
    encoder.dispose();
    await other.close();
  });

  it("shows its bytes as progress that ends at the whole", async () => {
    const said: JobMessage[] = [];
    const { fetched: bytes } = await fetched(BERT, settings(server, cache), said);
    const progress = said.filter((message) => message.type === "progress");
    expect(progress.at(-1)).toMatchObject({ name: "fetching", done: bytes, total: bytes, detail: "bytes" });
  });
});

describe("a download that is cut", () => {
  it("goes on by itself with a Range request", async () => {
    server.troubles = { cut: { after: 1000, times: 3 } };
    await fetched(BERT, settings(server, cache));
    const ranges = server.asked.filter(({ host }) => host === "cdn").map(({ range }) => range);
    expect(ranges.slice(-4)).toEqual([undefined, "bytes=1000-", "bytes=2000-", "bytes=3000-"]);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("leaves .incomplete when it fails for good, and no snapshot; the next process goes on there", async () => {
    server.troubles = { cut: { after: 0, times: 1000 } };
    mkdirSync(path.dirname(blob()), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, weights.subarray(0, 700));
    expect(await faultOf(() => fetched(BERT, settings(server, cache)))).toMatch(
      /^tiny-org\/tiny-bert\/model\.safetensors: the download broke off after 700 of \d+ bytes; .*run the command again: it goes on from there$/,
    );
    expect(readFileSync(`${blob()}.incomplete`).equals(weights.subarray(0, 700))).toBe(true);
    expect(existsSync(inCache("models--tiny-org--tiny-bert", "snapshots"))).toBe(false);
    server.troubles = {};
    server.asked.length = 0;
    const said: JobMessage[] = [];
    await fetched(BERT, settings(server, cache), said);
    expect(server.asked.filter(({ host }) => host === "cdn").map(({ range }) => range)).toContain("bytes=700-");
    expect(texts(said, "note")).toContain(`${BERT}/model.safetensors: goes on after 700 of ${weights.length} bytes`);
    expect(existsSync(`${blob()}.incomplete`)).toBe(false);
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it.each([
    ["the server passes over the Range", { ignoresRange: true }, 700],
    ["more lies there than there is", {}, weights.length + 5],
  ])("begins again where %s", async (_, troubles, begun) => {
    mkdirSync(path.dirname(blob()), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, Buffer.concat([weights, weights]).subarray(0, begun));
    server.troubles = troubles;
    await fetched(BERT, settings(server, cache));
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("is repeated while the server is busy, and given up in one line", async () => {
    server.troubles = { busy: { status: 503, times: 2 } };
    await fetched(BERT, settings(server, cache));
    rmSync(cache, { recursive: true });
    server.troubles = { busy: { status: 503, times: 1000 } };
    expect(await faultOf(() => fetched(BERT, settings(server, cache)))).toMatch(/broke off after 0 of \d+ bytes; got status 503/);
  });

  it("is given up when the server falls silent", async () => {
    server.troubles = { slow: 5000 };
    expect(await faultOf(() => fetched(BERT, settings(server, cache, { timeout: 100 })))).toMatch(
      /got nothing came for 0\.1 s; run the command again/,
    );
  });
});

describe("bytes that aren't what the hub promised", () => {
  it("are refused and removed", async () => {
    server.troubles = { corrupts: true };
    const line = await faultOf(() => fetched(BERT, settings(server, cache)));
    expect(line).toMatch(
      new RegExp(`^${BERT}/[\\w.]+: what came is not what the hub promised, and was removed; expected hash [0-9a-f]{64}, got [0-9a-f]{64}`),
    );
    const left = readdirSync(inCache("models--tiny-org--tiny-bert", "blobs"));
    for (const name of left)
      expect(gitHash(readFileSync(blob(name))) === name || sha256(readFileSync(blob(name))) === name, name).toBe(true);
    expect(existsSync(inCache("models--tiny-org--tiny-bert", "snapshots"))).toBe(false);
  });

  it("are refused after a begun download of other bytes, and the next attempt begins anew", async () => {
    mkdirSync(path.dirname(blob()), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, Buffer.alloc(900));
    expect(await faultOf(() => fetched(BERT, settings(server, cache)))).toContain("was removed");
    expect(existsSync(`${blob()}.incomplete`)).toBe(false);
    await fetched(BERT, settings(server, cache));
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it.each(["../../../escaped", "a/b", "", "x.incomplete"])("have a hash that can't be a path: %j", async (etag) => {
    server.troubles = { etag };
    expect(await faultOf(() => fetched(BERT, settings(server, cache)))).toContain("the hub says no usable hash");
    expect(existsSync(path.join(root, "escaped"))).toBe(false);
  });
});

describe("the token", () => {
  const token = "hf_secretSecretSecret";

  it("goes to the endpoint alone, never to the host of a redirect", async () => {
    server.troubles = { token };
    await fetched(BERT, settings(server, cache, { token }));
    expect(server.asked.filter(({ host }) => host === "hub").every((question) => question.token === `Bearer ${token}`)).toBe(true);
    const elsewhere = server.asked.filter(({ host }) => host === "cdn");
    expect(elsewhere.length).toBeGreaterThan(0);
    expect(elsewhere.map((question) => question.token)).toEqual(elsewhere.map(() => undefined));
  });

  it.each([
    ["wanting", undefined, { token }, /no such model on the hub, or it is private; got status 401, RepoNotFound; .*set HF_TOKEN/],
    ["refused", "hf_other", { token }, /no such model, or the token may not read it; got status 401/],
    [
      "behind a gate",
      "hf_other",
      { refuses: { status: 403, code: "GatedRepo" } },
      /behind a gate; .*with the account of HF_TOKEN or the token file/,
    ],
    ["behind a gate without one", undefined, { refuses: { status: 401, code: "GatedRepo" } }, /behind a gate; .*set HF_TOKEN/],
  ])("that is %s gives one line without it", async (_, own, troubles, line) => {
    server.troubles = troubles;
    const message = await faultOf(() => fetched(BERT, settings(server, cache, own === undefined ? {} : { token: own })));
    expect(message).toMatch(line);
    expect(message).not.toMatch(/hf_(secret|other)/);
    expect(existsSync(cache)).toBe(false);
  });

  it("and the CDN's signature stand in no line when a download fails", async () => {
    server.troubles = { token, busy: { status: 500, times: 1000 } };
    const said: JobMessage[] = [];
    const line = await faultOf(() => fetched(BERT, settings(server, cache, { token }), said));
    expect(`${line}${JSON.stringify(said)}`).not.toMatch(/hf_secret|Signature/);
  });
});

describe("without a network", () => {
  const dead = { endpoint: "http://127.0.0.1:4" };

  it.each([
    ["HF_HUB_OFFLINE", { offline: true }, "note", "HF_HUB_OFFLINE is set"],
    ["a dead connection", dead, "warning", "http://127.0.0.1:4: the hub can't be reached"],
  ] as const)("%s: the cached commit is used and said", async (_, changes, type, why) => {
    await fetched(BERT, settings(server, cache));
    server.asked.length = 0;
    const said: JobMessage[] = [];
    const model = await fetched(BERT, settings(server, cache, changes), said);
    expect(model).toMatchObject({ commit: FIRST, from: "cache" });
    expect(texts(said, type).join()).toContain(`${BERT}: ${why}`);
    expect(texts(said, type).join()).toContain(`the cached commit ${FIRST} is used`);
    expect(server.asked).toEqual([]);
  });

  it.each([
    [
      BERT,
      { offline: true },
      /^retriever\.path: tiny-org\/tiny-bert: no folder of this name, nothing of such a model in the cache \(.*\), and HF_HUB_OFFLINE is set; on a machine with a network, such as a login node, run: tandem fetch tiny-org\/tiny-bert$/,
    ],
    [`${BERT}@v2`, dead, /can't be reached \(ECONNREFUSED\); .*run: tandem fetch tiny-org\/tiny-bert@v2$/],
  ])("%s uncached: one line names the command", async (text, changes, line) => {
    expect(await faultOf(() => fetched(text, settings(server, cache, changes), [], { role: "retriever" }))).toMatch(line);
    expect(existsSync(cache)).toBe(false);
  });

  it("a snapshot that isn't whole isn't taken for one", async () => {
    const { folder } = await fetched(BERT, settings(server, cache));
    rmSync(path.join(folder, "model.safetensors"));
    expect(await faultOf(() => fetched(BERT, settings(server, cache, { offline: true })))).toContain("no whole snapshot of such a model");
  });

  it("a snapshot of which nothing says whether modules.json is wanting is used with a warning", async () => {
    const other = await startedAgain();
    const plain = without(bertFiles, "modules.json", "1_Pooling/config.json");
    other.commit("plain", FIRST, plain);
    await fetched("plain", settings(other, cache));
    const offline = settings(other, cache, { offline: true });
    const known: JobMessage[] = [];
    await fetched("plain", offline, known);
    expect(texts(known, "warning")).toEqual([]);
    rmSync(inCache("models--plain", ".no_exist"), { recursive: true });
    const unknown: JobMessage[] = [];
    await fetched("plain", offline, unknown);
    expect(texts(unknown, "warning").join()).toContain("has no modules.json, and nothing says whether the hub has one");
    await other.close();
  });
});

describe("what isn't a model that can be read", () => {
  it.each([
    ["no-such", {}, /no folder of this name here and no such model on the hub.*got status 404, RepoNotFound/],
    [`${BERT}@v9`, {}, /the model has no revision 'v9'; got status 404, RevisionNotFound/],
    [
      "pickled",
      { "pytorch_model.bin": "pickle", "config.json": "{}", "tokenizer.json": "{}" },
      /a pickle can run code.*convert it: python3 -c .*AutoModelForCausalLM.*save_pretrained\("pickled-safetensors"\).* generator\.path to \.\/pickled-safetensors$/,
    ],
    [
      "old-words",
      { "model.safetensors": "x", "config.json": "{}", "vocab.txt": "a" },
      /has only an old tokenizer; .*convert it: python3 -c /,
    ],
    [
      "a-dataset",
      { "data.csv": "1,2" },
      /is not a model that Tandem reads; expected config\.json, tokenizer\.json, model\.safetensors; name another model/,
    ],
    ["hostile", { "modules.json": '[{"path":"../../x"}]' }, /module 0: leads out of the model/],
    [
      "hostile-index",
      { "config.json": "{}", "tokenizer.json": "{}", "model.safetensors.index.json": '{"weight_map":{"a":"../x.safetensors"}}' },
      /names a shard that is not a file of this folder/,
    ],
    ["broken", { "modules.json": "[{" }, /is not JSON/],
  ])("%s is refused in one line", async (name, files, line) => {
    const other = await startedAgain();
    if (Object.keys(files).length > 0) other.commit(name, FIRST, files);
    expect(await faultOf(() => fetched(name, settings(other, cache), [], { role: "generator" }))).toMatch(line);
    expect(existsSync(inCache(`models--${name}`, "snapshots"))).toBe(false);
    await other.close();
  });
});

describe("a blob that another process fetches", () => {
  it("is waited for, not written twice", async () => {
    const lock = inCache(".locks", "models--tiny-org--tiny-bert", `${digest}.lock`);
    mkdirSync(path.dirname(lock), { recursive: true });
    const release = lockFile(lock, "");
    expect(release).toBeDefined();
    const said: JobMessage[] = [];
    const fetching = fetched(BERT, settings(server, cache), said);
    await expect.poll(() => texts(said, "note").join()).toContain("another process is fetching it; waiting");
    expect(existsSync(blob())).toBe(false);
    writeFileSync(blob(), weights);
    release?.();
    await fetching;
    expect(server.asked.some(({ host, path: asked }) => host === "cdn" && asked.includes(digest))).toBe(false);
  });
});

/** A second hub, for models that the others shouldn't see. */
async function startedAgain(): Promise<HubServer> {
  expect(weights.length).toBeGreaterThan(LARGE);
  return tinyHub();
}

function without(files: Readonly<Record<string, Buffer>>, ...names: string[]): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));
}
