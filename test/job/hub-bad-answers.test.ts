/**
 * Proves that a hub that answers wrongly (web pages, cut or hostile lists, other bytes, other commits, redirects elsewhere, errors) and a damaged cache end in one line or are got over, that nothing lands outside the cache,
 * and that the token goes nowhere else. Against a server on this machine. Alone: npx vitest run test/job/hub-bad-answers.test.ts
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobMessage } from "../../src/job/reporter.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { sha256, startHub, type HubServer, type HubTroubles } from "../storage/hub-server.js";
import { faultOf } from "./fault-of.js";
import { BERT, bertFiles, fetched, FIRST, SECOND, settings, texts, tinyHub } from "./hub-world.js";

const token = "hf_secretSecretSecret";
const root = temporaryFolder();
const weights = bertFiles["model.safetensors"] ?? Buffer.alloc(0);
const listing = `/api/models/${BERT}/revision/main`;
let server: HubServer;
/** Another host, which must never see the token. */
let stranger: HubServer;
let cache: string;
let number = 0;

beforeAll(async () => {
  server = await tinyHub();
  stranger = await startHub();
});
afterAll(async () => {
  await server.close();
  await stranger.close();
});
beforeEach(() => {
  cache = path.join(root, String(++number), "hub");
  server.troubles = {};
  server.asked.length = 0;
  stranger.asked.length = 0;
});

const inCache = (...parts: string[]): string => path.join(cache, "models--tiny-org--tiny-bert", ...parts);
const blob = (): string => inCache("blobs", sha256(weights));

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** Answers requests whose path has this in it, so many times. */
function answering(part: string, answer: Answer, times = Infinity): HubTroubles {
  let left = times;
  return {
    mischief: (_, request, response) => {
      if (request.url?.includes(part) !== true || left-- <= 0) return false;
      answer(response, request);
      return true;
    },
  };
}

const sending =
  (body: string | Buffer, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(200, { "Content-Type": "application/json", ...headers }).end(body);
  };

const refusedLine = (changes: Parameters<typeof settings>[2] = {}): Promise<string> =>
  faultOf(() => fetched(BERT, settings(server, cache, changes)));

/** Nothing but the cache stands where tests write. */
function expectNothingEscaped(): void {
  const allowed = Array.from({ length: number }, (_, i) => String(i + 1));
  expect(readdirSync(root).filter((name) => !allowed.includes(name))).toEqual([]);
  if (existsSync(path.dirname(cache))) expect(readdirSync(path.dirname(cache)).filter((name) => name !== "hub")).toEqual([]);
}

describe("a web page in place of JSON", () => {
  const page = sending("<!doctype html><title>Log in to the network</title>", { "Content-Type": "text/html" });

  it("is one line that says so", async () => {
    server.troubles = answering(listing, page);
    expect(await refusedLine()).toMatch(
      /something else than a hub answers \(a web page: HF_ENDPOINT may be wrong, or the network wants a login\)/,
    );
    expect(existsSync(cache)).toBe(false);
  });

  it("counts as no network: the cached commit is used, with a warning", async () => {
    await fetched(BERT, settings(server, cache));
    server.troubles = answering(listing, page);
    const said: JobMessage[] = [];
    expect(await fetched(BERT, settings(server, cache), said)).toMatchObject({ from: "cache", commit: FIRST });
    expect(texts(said, "warning").join()).toMatch(/something else than a hub answers.*the cached commit 1{40} is used/);
  });

  it("in place of a file's facts is one line", async () => {
    server.troubles = answering("/resolve/", page);
    expect(await refusedLine()).toMatch(/the hub says no usable hash; expected an ETag, got ""; check HF_ENDPOINT/);
  });
});

describe("a list of files", () => {
  const whole = JSON.stringify({ sha: FIRST, siblings: Object.keys(bertFiles).map((rfilename) => ({ rfilename })) });

  it("that is cut is asked for again", async () => {
    const cut: Answer = (response) => {
      response.writeHead(200, { "Content-Length": whole.length });
      response.write(whole.slice(0, 20), () => setTimeout(() => response.destroy(), 20));
    };
    server.troubles = answering(listing, cut, 1);
    expect((await fetched(BERT, settings(server, cache))).commit).toBe(FIRST);
    rmSync(cache, { recursive: true });
    server.troubles = answering(listing, cut);
    expect(await refusedLine()).toMatch(/the hub can't be reached \(/);
  });

  it.each([
    ["", /something else than a hub answers \(no JSON/],
    [whole.slice(0, -3), /something else than a hub answers \(no JSON/],
    ["[".repeat(1_000_000), /something else than a hub answers \(no JSON/],
    ["[]", /is not what it should be; expected a JSON object, got an array/],
    ["null", /expected a JSON object, got null/],
    [JSON.stringify({ sha: FIRST }), /is not a model hub's answer; expected the fields 'sha' and 'siblings'; check HF_ENDPOINT/],
    [JSON.stringify({ sha: "../../escaped", siblings: [] }), /is not a model hub's answer/],
    [JSON.stringify({ sha: FIRST.toUpperCase().replace(/1$/, "G"), siblings: [] }), /is not a model hub's answer/],
    [
      JSON.stringify({ sha: FIRST, siblings: [] }),
      /is not a model that Tandem reads; expected config\.json, tokenizer\.json, model\.safetensors/,
    ],
    [JSON.stringify({ sha: FIRST, siblings: [3] }), /is not what it should be; expected a JSON object, got a number/],
    [
      JSON.stringify({ sha: FIRST, siblings: [{ rfilename: "../../escaped" }, { rfilename: "/etc/passwd" }, { rfilename: 7 }, {}] }),
      /is not a model that Tandem reads/,
    ],
  ])("that is %.60j is refused", async (body, line) => {
    server.troubles = answering(listing, sending(body));
    expect(await refusedLine()).toMatch(line);
    expect(existsSync(cache)).toBe(false);
    expectNothingEscaped();
  });

  it("with hostile names beside the model's own costs nothing", async () => {
    const names = [...Object.keys(bertFiles), "../../../escaped", "/etc/cron.d/x", "config.json/../../../escaped", "a\u0000b", "..", ""];
    server.troubles = answering(listing, sending(JSON.stringify({ sha: FIRST, siblings: names.map((rfilename) => ({ rfilename })) })));
    const { folder } = await fetched(BERT, settings(server, cache));
    const found = readdirSync(folder, { recursive: true, encoding: "utf8", withFileTypes: true }).filter((entry) => !entry.isDirectory());
    expect(found.length).toBe(Object.keys(bertFiles).length);
    expectNothingEscaped();
  });

  it("without an end is given up", async () => {
    server.troubles = answering(listing, (response) => {
      const piece = Buffer.alloc(4 * 1024 * 1024, " ");
      const more = (): void => void response.write(piece, (error) => (error == null ? more() : undefined));
      response.writeHead(200);
      more();
    });
    expect(await refusedLine({ timeout: 20_000 })).toMatch(/sends too much to be a model hub; check HF_ENDPOINT/);
  }, 30_000);

  it("names a file that the hub doesn't have", async () => {
    server.troubles = answering("/tokenizer.json", (response) => {
      response.writeHead(404, { "X-Error-Code": "EntryNotFound" }).end();
    });
    expect(await refusedLine()).toMatch(/the hub lists tokenizer\.json and doesn't have it; got status 404, EntryNotFound; try again/);
    expect(existsSync(inCache("snapshots"))).toBe(false);
  });
});

describe("errors of the server", () => {
  it.each([500, 502, 503, 504, 429, 408])("%d is asked again, and a last one is one line", async (status) => {
    const busy: Answer = (response) => {
      response.writeHead(status, { "Retry-After": "0" }).end();
    };
    server.troubles = answering(listing, busy, 2);
    expect((await fetched(BERT, settings(server, cache))).from).toBe("hub");
    expect(server.asked.filter(({ path: asked }) => asked === listing).length).toBe(3);
    const said: JobMessage[] = [];
    server.troubles = answering(listing, busy);
    expect((await fetched(BERT, settings(server, cache), said)).from).toBe("cache");
    expect(texts(said, "warning").join()).toContain(`the hub can't be reached (status ${status}); the cached commit`);
    cache = path.join(root, String(number), "hub", "empty");
    expect(await refusedLine()).toMatch(
      new RegExp(`the hub can't be reached \\(status ${status}\\); on a machine with a network.*tandem fetch ${BERT}$`),
    );
  });

  it.each([400, 410, 418, 451, 501])("%d isn't, and is one line", async (status) => {
    server.troubles = { refuses: { status } };
    expect(await refusedLine({ token })).toMatch(new RegExp(`the hub refuses; got status ${status}; check the name and HF_ENDPOINT$`));
    expect(server.asked.length).toBe(1);
  });

  it("403 without the hub's word is not called a gate for sure", async () => {
    server.troubles = { refuses: { status: 403 } };
    expect(await refusedLine()).toMatch(
      /the way is barred: by a gate before the model, the token's rights, or a proxy; got status 403; .*set HF_TOKEN/,
    );
  });
});

describe("redirects", () => {
  const to =
    (location: string | undefined, status = 307): Answer =>
    (response) => {
      response.writeHead(status, location === undefined ? {} : { Location: location }).end();
    };

  it("to a renamed model on the hub are followed with the token", async () => {
    server.troubles = {
      mischief: (_, request, response) => {
        if (request.url?.includes("/old-org/") !== true) return false;
        to(request.url.replace("old-org/old-name", BERT))(response, request);
        return true;
      },
    };
    await fetched("old-org/old-name", settings(server, cache, { token }));
    expect(server.asked.filter(({ host }) => host === "hub").every((asked) => asked.token === `Bearer ${token}`)).toBe(true);
  });

  it.each(["/api/", "/resolve/"])("of %s to another host never carry the token", async (part) => {
    stranger.commit(BERT, FIRST, bertFiles);
    server.troubles = {
      mischief: (host, request, response) => {
        if (host !== "hub" || request.method !== "GET" || request.url?.includes(part) !== true) return false;
        to(`${stranger.endpoint}${request.url}`)(response, request);
        return true;
      },
    };
    await fetched(BERT, settings(server, cache, { token }));
    expect(stranger.asked.length).toBeGreaterThan(0);
    expect(stranger.asked.map((asked) => asked.token)).toEqual(stranger.asked.map(() => undefined));
  });

  it.each([
    ["in a circle", listing, /more than 10 redirects/],
    ["to nowhere", undefined, /the hub refuses; got status 307/],
    ["to a file of this machine", "file:///etc/passwd", /the hub refuses; got status 307/],
    ["to an address with a password", "http://user:s3cr3t@127.0.0.1:4/", /the hub refuses; got status 307/],
    ["to what isn't an address", "http://[", /the hub refuses; got status 307/],
  ])("%s are one line", async (_, location, line) => {
    server.troubles = answering(listing, to(location));
    const message = await refusedLine();
    expect(message).toMatch(line);
    expect(message).not.toContain("s3cr3t");
  });
});

describe("a file that isn't what was said", () => {
  const cdn = (answer: Answer, times = Infinity): HubTroubles => {
    const only = answering("", answer, times);
    return {
      mischief: (host, request, response) =>
        host === "cdn" && request.method === "GET" && only.mischief?.(host, request, response) === true,
    };
  };

  it("that ends early without a word is asked for again from there, and given up in one line", async () => {
    const short: Answer = (response) => {
      response.writeHead(200).end(weights.subarray(0, 5000));
    };
    server.troubles = cdn(short, 1);
    await fetched(BERT, settings(server, cache));
    expect(readFileSync(blob()).equals(weights)).toBe(true);
    rmSync(cache, { recursive: true });
    server.troubles = cdn((response) => void response.writeHead(200).end());
    expect(await refusedLine()).toMatch(
      /the download broke off after 0 of \d+ bytes; got the connection ended early; run the command again: it goes on/,
    );
  });

  it("that is longer is removed", async () => {
    server.troubles = cdn((response) => void response.writeHead(200).end(Buffer.concat([weights, Buffer.alloc(9)])));
    expect(await refusedLine()).toMatch(/the hub sends more than it said, and what came was removed; expected \d+ bytes, got at least \d+/);
    expect(readdirSync(inCache("blobs")).some((name) => name.includes(sha256(weights)))).toBe(false);
  });

  it.each([
    ["another place", { "Content-Range": `bytes 5-${weights.length - 1}/${weights.length}` }],
    ["no place", {}],
  ])("begins again where a part of it comes from %s", async (_, headers) => {
    mkdirSync(inCache("blobs"), { recursive: true });
    writeFileSync(`${blob()}.incomplete`, weights.subarray(0, 700));
    server.troubles = cdn((response) => void response.writeHead(206, headers as Record<string, string>).end(weights.subarray(5)), 1);
    await fetched(BERT, settings(server, cache));
    expect(readFileSync(blob()).equals(weights)).toBe(true);
  });

  it("belongs to another commit", async () => {
    server.troubles = answering("/resolve/", (response) => {
      response.writeHead(200, { "X-Repo-Commit": SECOND, ETag: '"a"' }).end();
    });
    expect(await refusedLine()).toMatch(/the hub answered with another commit; expected 1{40}, got "2{40}"; check HF_ENDPOINT/);
  });
});

describe("a damaged cache", () => {
  const offline = { offline: true };

  it.each(["../../escaped", "", "main\n", "\u0000"])("whose ref says %j has nothing", async (text) => {
    await fetched(BERT, settings(server, cache));
    writeFileSync(inCache("refs", "main"), text);
    expect(await refusedLine(offline)).toContain("nothing of such a model in the cache");
    expect((await fetched(BERT, settings(server, cache))).fetched).toBe(0);
    expect((await fetched(BERT, settings(server, cache, offline))).commit).toBe(FIRST);
  });

  it.each([
    ["refs/main", offline, /main: is a folder, not a file/],
    [`blobs/${sha256(weights)}.incomplete`, {}, /incomplete: is a folder, not a file/],
  ])("with a folder in the place of %s is one line", async (name, changes, line) => {
    mkdirSync(inCache(name), { recursive: true });
    expect(await refusedLine(changes)).toMatch(line);
  });

  it("with a file in the place of its folders is one line", async () => {
    mkdirSync(inCache(), { recursive: true });
    writeFileSync(inCache("blobs"), "");
    expect(await refusedLine()).toMatch(/a part of the path is a file, not a folder|exists already/);
  });

  it("whose snapshot leads out of it is refused", async () => {
    await fetched(BERT, settings(server, cache));
    rmSync(inCache("snapshots", FIRST, "modules.json"));
    writeFileSync(inCache("snapshots", FIRST, "modules.json"), '[{"path": "../../../.."}]');
    expect(await refusedLine(offline)).toMatch(/module 0: leads out of the model/);
  });

  it.each(["", "{", "[]", '{"format_version": 2, "files": {}}', '{"format_version": 1, "files": 3}'])(
    "whose listing by Python is %j goes without it",
    async (text) => {
      await fetched(BERT, settings(server, cache));
      mkdirSync(inCache("trees"));
      writeFileSync(inCache("trees", `${FIRST}.json`), text);
      const said: JobMessage[] = [];
      expect((await fetched(BERT, settings(server, cache, offline), said)).commit).toBe(FIRST);
      expect(texts(said, "warning")).toEqual([]);
    },
  );

  it("that lost a blob fetches that one again", async () => {
    const { folder } = await fetched(BERT, settings(server, cache));
    rmSync(blob());
    expect(await refusedLine(offline)).toContain("no whole snapshot of such a model");
    expect((await fetched(BERT, settings(server, cache))).fetched).toBe(weights.length);
    expect(readFileSync(path.join(folder, "model.safetensors")).equals(weights)).toBe(true);
  });
});
