/**
 * Proves `tandem fetch` as a process: killed in mid-download it goes on where it stopped, two at once end well, a full disk and a cache that can't be written are one line; proxies are used and no password is shown.
 * And that corpus and index take names of the hub. Against a server and a proxy on this machine. Needs the mmap add-on, for the index the bridge too; https through a tunnel needs openssl.
 * Alone: npx vitest run test/cli/fetch.test.ts
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { connect, type AddressInfo } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { FetchedModel } from "../../src/job/models/hub-model.js";
import { compiledTraining } from "../job/compiled-training.js";
import { hubEnvironment } from "../job/hub-environment.js";
import { BERT, bertFiles, FIRST, GPT2, SECOND, tinyHub } from "../job/hub-world.js";
import { ARTICLES, jsonLines } from "../job/trained-run.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { sha256, type HubServer } from "../storage/hub-server.js";
import { startProxy, type SmallProxy } from "../storage/small-proxy.js";
import { startProcess, type Ended, type Started } from "./fetch-process.js";

const { tandem } = compiledTraining("fetch");
const root = temporaryFolder();
const weights = bertFiles["model.safetensors"] ?? Buffer.alloc(0);
const digest = sha256(weights);
let server: HubServer;
let cache: string;
let number = 0;

beforeAll(async () => {
  server = await tinyHub();
});
afterAll(() => server.close());
beforeEach(() => {
  server.commit(BERT, FIRST, bertFiles);
  cache = path.join(root, String(++number), "hub");
  server.troubles = {};
  server.asked.length = 0;
});

const start = (words: readonly string[], changes: Record<string, string> = {}): Started =>
  startProcess(tandem, words, { env: hubEnvironment(root, { HF_ENDPOINT: server.endpoint, HF_HUB_CACHE: cache, ...changes }), cwd: root });
const run = (words: readonly string[], changes: Record<string, string> = {}): Promise<Ended> => start(words, changes).ended;
const blob = (name = digest): string => path.join(cache, "models--tiny-org--tiny-bert", "blobs", name);
const ranges = (): (string | undefined)[] =>
  server.asked.filter(({ host, method }) => host === "cdn" && method === "GET").map(({ range }) => range);

function expectOneLine({ code, out, error }: Ended, line: RegExp): void {
  expect(code, error).toBe(2);
  expect(out).toBe("");
  expect(error.trimEnd().split("\n").at(-1)).toMatch(line);
  expect(error).not.toMatch(/\n\s+at /);
}

describe("tandem fetch", () => {
  it("prints folder and commit, and JSON of several", async () => {
    const { out, code } = await run(["fetch", BERT, "--quiet"]);
    expect(code).toBe(0);
    const folder = path.join(cache, "models--tiny-org--tiny-bert", "snapshots", FIRST);
    expect(out).toMatch(new RegExp(`^${BERT}: commit ${FIRST}, \\d+ bytes fetched\n  ${folder}\n$`));
    const both = JSON.parse((await run(["fetch", BERT, `${GPT2}@${FIRST}`, "--json"])).out) as FetchedModel[];
    expect(both).toMatchObject([
      { name: BERT, revision: "main", commit: FIRST, folder, fetched: 0 },
      { name: GPT2, revision: FIRST, commit: FIRST, from: "hub" },
    ]);
    expect((await run(["fetch", BERT], { HF_HUB_OFFLINE: "1" })).out).toContain("nothing to fetch");
  }, 60_000);

  it.each(["../x", "/etc", "a--b", "a@../b", "a/b/c", "a@x..y", "a b", ""])("refuses %j before anything is asked", async (name) => {
    expectOneLine(await run(["fetch", name]), /is not the name of a model on the hub; expected name, org\/name or org\/name@revision/);
    expect(server.asked).toEqual([]);
    expect(existsSync(cache)).toBe(false);
  });

  it("killed in mid-download goes on where it stopped, to the same bytes", async () => {
    server.troubles = { slow: 10 };
    const { process: child, ended } = start(["fetch", BERT]);
    while ((statSync(`${blob()}.incomplete`, { throwIfNoEntry: false })?.size ?? 0) < 20_000 && child.exitCode === null) await sleep(5);
    child.kill("SIGKILL");
    expect((await ended).signal).toBe("SIGKILL");
    const came = statSync(`${blob()}.incomplete`).size;
    expect(came).toBeGreaterThanOrEqual(20_000);
    expect(came).toBeLessThan(weights.length);
    expect(existsSync(path.join(cache, "models--tiny-org--tiny-bert", "snapshots"))).toBe(false);
    server.troubles = {};
    server.asked.length = 0;
    const { code, error, out } = await run(["fetch", BERT]);
    expect(code, error).toBe(0);
    expect(ranges()).toEqual([`bytes=${came}-`]);
    expect(out).toMatch(/\d+ bytes fetched/);
    expect(createHash("sha256").update(readFileSync(blob())).digest("hex")).toBe(digest);
    expect(readdirSync(path.dirname(blob())).filter((name) => name.includes("incomplete"))).toEqual([]);
  }, 60_000);

  it("two processes at once fetch each blob once and both end with the whole model", async () => {
    server.troubles = { slow: 5 };
    const both = await Promise.all([run(["fetch", BERT, "--json"]), run(["fetch", BERT, "--json"])]);
    for (const { code, error } of both) expect(code, error).toBe(0);
    const [one, other] = both.map(({ out }) => (JSON.parse(out) as FetchedModel[])[0]);
    expect(one?.folder).toBe(other?.folder);
    expect(ranges()).toEqual([undefined]);
    for (const [file, content] of Object.entries(bertFiles))
      expect(readFileSync(path.join(one?.folder ?? "", file)).equals(content), file).toBe(true);
    expect(readdirSync(path.dirname(blob())).filter((name) => name.includes("incomplete"))).toEqual([]);
  }, 60_000);

  it("goes on when the process that was waited for is killed", async () => {
    server.troubles = { slow: 10 };
    const begun = start(["fetch", BERT]);
    while ((statSync(`${blob()}.incomplete`, { throwIfNoEntry: false })?.size ?? 0) < 5000 && begun.process.exitCode === null)
      await sleep(5);
    const waiting = start(["fetch", BERT]);
    let said = "";
    waiting.process.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    await expect.poll(() => said, { timeout: 20_000 }).toContain("another process is fetching it; waiting");
    begun.process.kill("SIGKILL");
    const { code, error } = await waiting.ended;
    expect(code, error).toBe(0);
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=\d{4,}-$/)]);
    expect(sha256(readFileSync(blob()))).toBe(digest);
  }, 60_000);

  it("a full disk is one line, and nothing passes for whole", async () => {
    mkdirSync(path.dirname(blob()), { recursive: true });
    symlinkSync("/dev/full", `${blob()}.incomplete`);
    expectOneLine(await run(["fetch", BERT]), /\.incomplete: no space left on the device; free some space/);
    expect(existsSync(blob())).toBe(false);
    expect(existsSync(path.join(cache, "models--tiny-org--tiny-bert", "snapshots"))).toBe(false);
  }, 30_000);

  it.each([
    [
      "a file in its place",
      (): string => (writeFileSync(path.join(root, "file"), ""), path.join(root, "file")),
      /file, not a folder|exists already/,
    ],
    ["a folder that nobody may write to", (): string => "/proc/hub", /\/proc\/hub.*: no such file or folder|not permitted/],
  ])(
    "a cache that can't be written is one line: %s",
    async (_, place, line) => {
      expectOneLine(await run(["fetch", BERT], { HF_HUB_CACHE: place() }), line);
    },
    30_000,
  );

  it("never shows the token, whatever the hub answers", async () => {
    const token = "hf_secretSecretSecret";
    for (const refuses of [{ status: 401, code: "GatedRepo" }, { status: 403 }, { status: 500 }, { status: 418 }]) {
      server.troubles = { refuses };
      const { code, out, error } = await run(["fetch", BERT], { HF_TOKEN: token });
      expect(code).toBe(2);
      expect(out + error).not.toContain(token);
      expect(server.asked.every((question) => question.token === `Bearer ${token}`)).toBe(true);
    }
    server.troubles = {};
    const { code, out, error } = await run(["fetch", BERT], { HF_TOKEN: token });
    expect(code).toBe(0);
    expect(out + error).not.toContain(token);
    const holding = readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((name) => {
      const file = path.join(cache, name);
      return statSync(file).isFile() && readFileSync(file).includes(token);
    });
    expect(holding).toEqual([]);
  }, 60_000);
});

describe("tandem corpus and tandem index", () => {
  it("take names of the hub: the passages are measured and embedded with that model", async () => {
    const corpus = path.join(root, "articles.jsonl");
    writeFileSync(corpus, jsonLines(ARTICLES));
    const [store, output] = [path.join(root, "store"), path.join(root, "vectors")];
    const made = await run([
      "corpus",
      "data.corpus.format=jsonl",
      `data.corpus.path=${corpus}`,
      `retriever.path=${BERT}`,
      "--output",
      store,
    ]);
    expect(made.code, made.error).toBe(0);
    const words = ["index", "--retriever", BERT, "--corpus", store, "--output", output, "device=cpu"];
    const built = await run(words);
    expect(built.code, built.error).toBe(0);
    expect(built.out).toMatch(/^built: /);
    expect(built.error).toContain(`retriever: ${BERT} of the hub, commit ${FIRST}`);
    const folder = path.join(cache, "models--tiny-org--tiny-bert", "snapshots", FIRST);
    const again = await run(["index", "--retriever", folder, ...words.slice(3)], { HF_HUB_OFFLINE: "1" });
    expect(again.out, again.error).toMatch(/^verified: /);

    const moved = Buffer.from(weights);
    moved.writeFloatLE(0.5, moved.length - 4 * Math.floor(moved.length / 8));
    server.commit(BERT, SECOND, { ...bertFiles, "model.safetensors": moved });
    expectOneLine(await run(words), new RegExp(`rebuild it: tandem index --retriever ${BERT} --corpus .* --rebuild$`));
    expect((await run(["index", "--retriever", `${BERT}@${FIRST}`, ...words.slice(3)])).out).toMatch(/^verified: /);
  }, 120_000);

  it("say the option and the command where the model can't be had", async () => {
    const words = ["index", "--retriever", "no-org/no-model", "--corpus", path.join(root, "store"), "--output", path.join(root, "none")];
    expectOneLine(
      await run(words),
      /^tandem index: no-org\/no-model on http.*: no folder of this name here and no such model on the hub, or it is private/,
    );
    expectOneLine(
      await run(words, { HF_HUB_OFFLINE: "1" }),
      /^tandem index: --retriever: no-org\/no-model: no folder of this name.*tandem fetch no-org\/no-model$/,
    );
    expect(existsSync(path.join(root, "none"))).toBe(false);
  }, 60_000);
});

/** A key and a certificate of hub.test, made for this run of the tests. */
function certificate(): { key: string; cert: string } | undefined {
  const [key, cert] = [path.join(root, "key.pem"), path.join(root, "cert.pem")];
  const words =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hub.test -addext subjectAltName=DNS:hub.test";
  return spawnSync("openssl", [...words.split(" "), "-keyout", key, "-out", cert]).status === 0 ? { key, cert } : undefined;
}

describe("a proxy", () => {
  const tls = certificate();
  const places = new Map<string, number>();
  const endings: (() => void)[] = [];
  let proxy: SmallProxy;

  beforeAll(async () => {
    const hub = Number(new URL(server.endpoint).port);
    places.set("hub.test:80", hub);
    if (tls !== undefined) {
      // The same hub behind TLS.
      const secure = createServer({ key: readFileSync(tls.key), cert: readFileSync(tls.cert) }, (client) => {
        const onward = connect(hub, "127.0.0.1");
        for (const socket of [client, onward]) socket.on("error", () => socket.destroy());
        onward.pipe(client).pipe(onward);
      });
      await new Promise<void>((resolve) => secure.listen(0, "127.0.0.1", resolve));
      places.set("hub.test:443", (secure.address() as AddressInfo).port);
      endings.push(() => secure.close());
    }
    proxy = await startProxy(places);
  });
  afterAll(async () => {
    await proxy.close();
    for (const end of endings) end();
  });
  beforeEach(() => {
    proxy.asked.length = 0;
    proxy.password = undefined;
  });

  // No resolver knows hub.test: what arrives came through the proxy.
  it("of HTTP_PROXY is asked for a hub behind http://, and for the host of a redirect", async () => {
    const { code, error } = await run(["fetch", BERT], { HF_ENDPOINT: "http://hub.test", HTTP_PROXY: `http://${proxy.host}` });
    expect(code, error).toBe(0);
    expect(proxy.asked[0]).toBe(`GET http://hub.test/api/models/${BERT}/revision/main`);
    expect(proxy.asked.some((asked) => asked.startsWith("GET http://localhost:"))).toBe(true);
    expect(sha256(readFileSync(blob()))).toBe(digest);
  }, 30_000);

  it("isn't asked for what NO_PROXY names", async () => {
    const around = { HF_ENDPOINT: "http://hub.test", http_proxy: proxy.host, NO_PROXY: "example.org,localhost" };
    expect((await run(["fetch", BERT], around)).code).toBe(0);
    expect(proxy.asked.length).toBeGreaterThan(0);
    expect(proxy.asked.some((asked) => asked.includes("localhost"))).toBe(false);
    proxy.asked.length = 0;
    const direct = await run(["fetch", GPT2], {
      HTTP_PROXY: `http://${proxy.host}`,
      HTTPS_PROXY: `http://${proxy.host}`,
      NO_PROXY: "127.0.0.1,localhost",
    });
    expect(direct.code, direct.error).toBe(0);
    expect(proxy.asked).toEqual([]);
  }, 30_000);

  it.skipIf(tls === undefined)(
    `of HTTPS_PROXY opens a tunnel to a hub behind https://${tls === undefined ? " (skipped: no openssl makes a certificate)" : ""}`,
    async () => {
      const through = { HF_ENDPOINT: "https://hub.test", HTTPS_PROXY: `http://${proxy.host}`, NODE_EXTRA_CA_CERTS: tls?.cert ?? "" };
      const { code, error } = await run(["fetch", BERT], { ...through, HF_TOKEN: "hf_tokenToken" });
      expect(code, error).toBe(0);
      expect(new Set(proxy.asked)).toEqual(new Set(["CONNECT hub.test:443"]));
      expect(sha256(readFileSync(blob()))).toBe(digest);
      expect(server.asked.filter(({ host }) => host === "cdn").map(({ token }) => token)).not.toContain("Bearer hf_tokenToken");
      const untrusted = await run(["fetch", GPT2], { ...through, NODE_EXTRA_CA_CERTS: "" });
      expectOneLine(untrusted, /the hub can't be reached \((DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE)/);
    },
    60_000,
  );

  it.skipIf(tls === undefined)(
    "that wants a password gets it, and no line shows it",
    async () => {
      proxy.password = "someone:s3cr3tWord";
      const at = (user: string): Record<string, string> => ({
        HF_ENDPOINT: "https://hub.test",
        HTTPS_PROXY: `http://${user}${proxy.host}`,
        NODE_EXTRA_CA_CERTS: tls?.cert ?? "",
      });
      const passed = await run(["fetch", BERT], at("someone:s3cr3tWord@"));
      expect(passed.code, passed.error).toBe(0);
      for (const user of ["", "someone:s3cr3tOther@"]) {
        const barred = await run(["fetch", GPT2], at(user));
        expectOneLine(
          barred,
          /the hub can't be reached \(status 407 of the proxy, with HTTP_PROXY or HTTPS_PROXY set\); .*run: tandem fetch tiny-gpt2$/,
        );
        expect(passed.error + barred.error).not.toContain("s3cr3t");
      }
    },
    60_000,
  );

  it("that isn't there, or isn't one, is one line", async () => {
    expectOneLine(
      await run(["fetch", BERT], { HF_ENDPOINT: "http://hub.test", HTTP_PROXY: "http://someone:s3cr3t@127.0.0.1:4" }),
      /the hub can't be reached \(ECONNREFUSED, with HTTP_PROXY or HTTPS_PROXY set\)/,
    );
    for (const address of ["socks5://u:s3cr3t@host:1", "http://", "ftp://x"]) {
      const refused = await run(["fetch", BERT], { HTTPS_PROXY: address });
      expectOneLine(
        refused,
        /^tandem fetch: HTTPS_PROXY: is not the address of a proxy that can be used; expected http:\/\/ or https:\/\/ and a host/,
      );
      expect(refused.error).not.toContain("s3cr3t");
    }
    expect(server.asked).toEqual([]);
  }, 60_000);
});
