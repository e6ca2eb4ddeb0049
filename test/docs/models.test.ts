/**
 * Proves that docs/models.md speaks of the program that is there: its commands run in their order, against a hub on this machine with tiny models under the names of the page, and its table has the variables that are read.
 * Alone: npx vitest run test/docs/models.test.ts
 */
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startProcess, type Ended } from "../cli/fetch-process.js";
import { compiledTraining } from "../job/compiled-training.js";
import { hubEnvironment } from "../job/hub-environment.js";
import { bertFiles, FIRST, gpt2Files } from "../job/hub-world.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { startHub, type HubServer } from "../storage/hub-server.js";
import { repository } from "./tracked-files.js";

const page = readFileSync(path.join(repository, "docs/models.md"), "utf8");
const { tandem } = compiledTraining("models-page");
const folder = temporaryFolder();

/** The lines of the page as they are typed, variables apart. */
const commands = [...page.matchAll(/^```bash\n([\s\S]*?)^```/gm)]
  .flatMap((match) => (match[1] ?? "").split("\n"))
  .filter((line) => line.includes("tandem "))
  .map((line) => {
    const [variables = "", words = ""] = line.replace(/ +#.*$/, "").split("tandem ");
    const set = variables
      .trim()
      .split(" ")
      .filter((each) => each !== "")
      .map((each) => each.split("=") as [string, string]);
    return { line, environment: Object.fromEntries(set), words: words.split(" ") };
  });

let server: HubServer;
beforeAll(async () => {
  server = await startHub();
  server.commit("sentence-transformers/all-MiniLM-L6-v2", FIRST, bertFiles);
  server.commit("distilgpt2", FIRST, gpt2Files);
});
afterAll(() => server.close());

/** Seconds instead of minutes. */
const SMALL = ["train.schedule=[{phase: refresh}, {phase: generator, steps: 1, contexts: retrieved}]", "threads=1"];

async function run(words: readonly string[], changes: Record<string, string>): Promise<Ended> {
  const small = words.map((word) => (word === "experiment=quickstart" ? "experiment=tiny" : word));
  const env = hubEnvironment(folder, { HF_ENDPOINT: server.endpoint, ...changes });
  return startProcess(tandem, [...small, ...(words[0] === "train" ? SMALL : [])], { env, cwd: folder }).ended;
}

describe("the page's commands", () => {
  it("are those of models: train, fetch, corpus, index", () => {
    expect(commands.map(({ words }) => words[0])).toEqual(["train", "fetch", "train", "corpus", "index"]);
  });

  it.each(commands.map(({ line, ...rest }) => [line, rest] as const))(
    "%s runs",
    async (_, { words, environment }) => {
      server.asked.length = 0;
      const { code, error } = await run(words, environment);
      expect(code, error).toBe(0);
      if (environment["HF_HUB_OFFLINE"] === "1") expect(server.asked).toEqual([]);
      else expect(server.asked.length).toBeGreaterThan(0);
    },
    120_000,
  );

  it("leave models.json in the run directories", () => {
    const noted = readdirSync(path.join(folder, "runs"))
      .filter((name) => !name.startsWith("."))
      .map((name) => Object.keys(JSON.parse(readFileSync(path.join(folder, "runs", name, "models.json"), "utf8")) as object));
    expect(noted.map((roles) => roles.length).sort()).toEqual([1, 2]);
  });
});

describe("the page's variables", () => {
  it("are those that are read", () => {
    const source = readFileSync(path.join(repository, "src/config/hub-settings.ts"), "utf8");
    const read = [...source.matchAll(/(?:given|address)\(([^)]*)\)/g)].flatMap((match) =>
      [...(match[1] ?? "").matchAll(/"([A-Z_]+)"/g)].map((name) => name[1] ?? ""),
    );
    const named = [...page.matchAll(/^\| (`[^|]*)\|/gm)].flatMap((match) =>
      [...(match[1] ?? "").matchAll(/`([A-Z_]+)`/g)].map((name) => name[1] ?? ""),
    );
    expect([...new Set(named)].sort()).toEqual([...new Set(read)].sort());
  });
});
