/**
 * Proves what counts as a hub's name and what as a folder, and which variables say how the hub is reached. Alone: npx vitest run test/config/model-name.test.ts
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { hubSettings } from "../../src/config/hub-settings.js";
import { loadConfig } from "../../src/config/load-config.js";
import { hubName, hubNameText, modelPlace } from "../../src/config/model-name.js";
import { userErrorOf } from "./user-error.js";

const scratch = mkdtempSync(path.join(tmpdir(), "tandem-names-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe("a name on the hub", () => {
  it.each([
    ["distilgpt2", "distilgpt2", "main"],
    ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "main"],
    ["org/name@v1.0", "org/name", "v1.0"],
    ["org/name@refs/pr/3", "org/name", "refs/pr/3"],
    [`a_b/c.d-e@${"0".repeat(40)}`, "a_b/c.d-e", "0".repeat(40)],
  ])("%s", (text, name, revision) => {
    expect(hubName(text)).toEqual({ name, revision });
    expect(hubName(hubNameText({ name, revision }))).toEqual({ name, revision });
  });

  it.each([
    "",
    "/abs",
    "./x",
    "../x",
    "a/b/c",
    "a--b",
    "a..b",
    "a/../b",
    "-a",
    "a-",
    ".a/b",
    "a/",
    "a b",
    "a@",
    "a@b@c",
    "a@../x",
    "a@-x",
    "a@x..y",
    "x.git",
    "C:\\x",
    "a@x.lock",
    "a".repeat(97),
  ])("isn't %j", (text) => {
    expect(hubName(text)).toBeUndefined();
  });

  it("stays as it is in a config, unless a folder of it exists or it says that it is a path", () => {
    expect(modelPlace("no-such-org/no-such-model")).toBe("no-such-org/no-such-model");
    expect(modelPlace("./no-such-org/no-such-model")).toBe(path.resolve("no-such-org/no-such-model"));
    expect(modelPlace("~/no-such-model")).toBe(path.join(homedir(), "no-such-model"));
    expect(modelPlace("a/b/c")).toBe(path.resolve("a/b/c"));
    expect(modelPlace("test/config")).toBe(path.resolve("test/config"));
    const { config } = loadConfig({ overrides: ["generator.path=distilgpt2", "retriever.path=test/config"], needed: [] });
    expect(config.generator.path).toBe("distilgpt2");
    expect(config.retriever.path).toBe(path.resolve("test/config"));
  });
});

describe("the hub's settings", () => {
  const home = { HF_HOME: path.join(scratch, "home") };

  it("are the public hub and the cache in the home folder", () => {
    const found = hubSettings({ HF_TOKEN_PATH: path.join(scratch, "none") });
    expect(found).toMatchObject({
      endpoint: "https://huggingface.co",
      offline: false,
      cache: path.join(homedir(), ".cache/huggingface/hub"),
    });
    expect(found).not.toHaveProperty("token");
  });

  it("follow HF_HOME, HF_HUB_CACHE, HF_ENDPOINT and HF_HUB_OFFLINE, as huggingface_hub does", () => {
    expect(hubSettings(home).cache).toBe(path.join(scratch, "home", "hub"));
    expect(hubSettings({ ...home, HF_HUB_CACHE: "$BASE/c", BASE: scratch }).cache).toBe(path.join(scratch, "c"));
    expect(hubSettings({ XDG_CACHE_HOME: scratch }).cache).toBe(path.join(scratch, "huggingface", "hub"));
    expect(hubSettings({ ...home, HF_ENDPOINT: "https://mirror.example/hub/" }).endpoint).toBe("https://mirror.example/hub");
    for (const [word, offline] of [
      ["1", true],
      ["yes", true],
      ["TRUE", true],
      ["0", false],
      ["", false],
      ["no", false],
    ] as const)
      expect(hubSettings({ ...home, HF_HUB_OFFLINE: word }).offline, word).toBe(offline);
  });

  it("name the proxies as curl does: small letters first, http:// where there is no scheme, none where none is set", () => {
    expect(hubSettings(home)).not.toHaveProperty("proxy");
    expect(hubSettings({ ...home, NO_PROXY: "*", HTTP_PROXY: "" })).not.toHaveProperty("proxy");
    const both = { HTTPS_PROXY: "http://second:2", https_proxy: "first:1", no_proxy: "a.example, b.example", NO_PROXY: "*" };
    expect(hubSettings({ ...home, ...both }).proxy).toEqual({ http: "", https: "http://first:1", except: "a.example, b.example" });
    expect(hubSettings({ ...home, HTTP_PROXY: "https://user:word@host:3" }).proxy).toEqual({
      http: "https://user:word@host:3",
      https: "",
      except: "",
    });
  });

  it("take the token of HF_TOKEN before that of the file", () => {
    mkdirSync(home.HF_HOME, { recursive: true });
    writeFileSync(path.join(home.HF_HOME, "token"), "hf_file\n");
    expect(hubSettings(home).token).toBe("hf_file");
    expect(hubSettings({ ...home, HF_TOKEN: " hf_word\n" }).token).toBe("hf_word");
    expect(hubSettings({ ...home, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" })).not.toHaveProperty("token");
  });

  it.each([
    [{ HF_TOKEN: "hf_sec\nret" }, "HF_TOKEN: is not a token"],
    [{ HF_TOKEN: "hf_sécret" }, "HF_TOKEN: is not a token"],
    [{ HF_ENDPOINT: "https://user:sécret@host" }, "HF_ENDPOINT: is not the address of a hub"],
    [{ HF_ENDPOINT: "mirror" }, "HF_ENDPOINT: is not the address of a hub"],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: "soon" }, "HF_HUB_DOWNLOAD_TIMEOUT: can't be used"],
    [{ HTTPS_PROXY: "socks5://user:sécret@host" }, "HTTPS_PROXY: is not the address of a proxy"],
    [{ http_proxy: "http://user:sécret@" }, "HTTP_PROXY: is not the address of a proxy"],
    [{ HF_TOKEN_PATH: scratch }, "the hub's token can't be read (EISDIR)"],
  ])("%j is refused without being shown", (environment, line) => {
    const message = userErrorOf(() => hubSettings({ ...home, ...environment }));
    expect(message).toContain(line);
    expect(message).not.toMatch(/sécret|hf_s|ret"/);
  });
});
