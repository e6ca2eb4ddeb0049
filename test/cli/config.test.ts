/**
 * Proves `tandem config show` and `tandem config schema` as a user runs them: what is printed, to which stream, with which exit code.
 * Alone: npx vitest run test/cli/config.test.ts
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load-config.js";
import { type CompiledCommand, compileCommand } from "./compiled-command.js";

let compiled: CompiledCommand;
let own: string;
beforeAll(() => {
  compiled = compileCommand("config");
  own = mkdtempSync(path.join(tmpdir(), "tandem-own-"));
  mkdirSync(path.join(own, "experiment"));
  writeFileSync(
    path.join(own, "experiment/mine.yaml"),
    "# @package _global_\ndefaults:\n  - tiny\nname: mine\nseed: ${oc.env:MY_SEED,3}\n",
  );
});
afterAll(() => {
  compiled.remove();
  rmSync(own, { recursive: true });
});

/** stdout of words that succeed; stderr must hold nothing but warnings. */
function shown(words: string[], env: Record<string, string> = {}): string {
  const { status, out, error } = compiled.run(["config", ...words], { env });
  expect(status, error).toBe(0);
  for (const line of error.split("\n").filter((text) => text !== "")) expect(line).toMatch(/^warning: '/);
  return out;
}

describe("tandem config show", () => {
  it("prints YAML of every key, the same that the program gets", () => {
    const { composed } = loadConfig({ overrides: ["experiment=tiny", "seed=5", "data.root=x"] });
    expect(parse(shown(["show", "experiment=tiny", "seed=5", "data.root=x"]))).toEqual(composed);
    expect(JSON.parse(shown(["show", "--json", "experiment=tiny", "seed=5", "data.root=x"]))).toEqual(composed);
  });

  it("cozyrag 3: --sources says which file and line, or which override, set each key", () => {
    const out = shown(["show", "--sources", "experiment=tiny", "seed=5"]);
    expect(out).toMatch(/^seed: 5 +# override 2 'seed=5'$/m);
    expect(out).toMatch(/^name: tiny +# conf\/experiment\/tiny\.yaml:\d+$/m);
    expect(out).toMatch(/^ {4}metric: em +# schema default$/m);
    expect(parse(out)).toEqual(JSON.parse(shown(["show", "--json", "experiment=tiny", "seed=5"])));
  });

  it("--sources --json has the same for programs", () => {
    const all = JSON.parse(shown(["show", "--sources", "--json", "experiment=tiny"])) as Record<string, unknown>;
    expect(Object.keys(all)).toEqual(["config", "sources", "choices", "files", "missing"]);
    expect(all.choices).toMatchObject({ experiment: "tiny", data: "quickstart" });
  });

  it("shows what must still be given as ???", () => {
    expect(shown(["show"])).toMatch(/path: "?\?\?\?"?\n/);
    expect(JSON.parse(shown(["show", "--json", "--sources"]))).toMatchObject({ missing: ["data.corpus.path", "data.questions.train"] });
  });

  it("finds the user's own files beside Tandem's", () => {
    const words = ["show", "--json", "--config-dir", own, "experiment=mine"];
    expect(JSON.parse(shown(words))).toMatchObject({ name: "mine", seed: 3, threads: 1 });
    expect(JSON.parse(shown(words, { MY_SEED: "8" }))).toMatchObject({ seed: 8 });
  });

  it("warns on stderr", () => {
    const { error } = compiled.run(["config", "show", "retriever.max_tokens=64", "data.corpus.max_tokens=128"]);
    expect(error).toBe(
      "warning: 'data.corpus.max_tokens' is 128, but the retriever reads only 64 tokens of a passage: what comes after is never found (override 2 'data.corpus.max_tokens=128')\n",
    );
  });

  it.each([
    [
      ["experiment=quickstrat"],
      /override 1 'experiment=quickstrat': no 'quickstrat' in group experiment; expected .*; did you mean quickstart\?/,
    ],
    [["model=none"], /no 'none' in group model; expected .*minilm-distilgpt2/],
    [["train.penalties.keyword.weight=1"], /choose coverage/],
    [["eval.limit=1,2"], /several values for one key; expected one value a run/],
    [["--config-dir", "/nowhere"], /\/nowhere: not a folder; .*mend --config-dir/],
  ])("refuses %j on one line with exit code 2", (words, line) => {
    const { status, out, error } = compiled.run(["config", "show", ...words]);
    expect({ status, out }).toEqual({ status: 2, out: "" });
    expect(error.trimEnd()).toMatch(line);
    expect(error.trimEnd()).not.toContain("\n");
  });
});

describe("tandem config schema", () => {
  it("explains every key, as text and as JSON Schema", () => {
    expect(shown(["schema"])).toContain("train.penalties.keyword.direction: coverage | overlap or null = null\n    coverage: punish");
    const schema = JSON.parse(shown(["schema", "--json"])) as { properties: Record<string, unknown> };
    expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(["seed", "data", "train", "eval"]));
  });

  it("explains one key, or what stands below a section, and names the nearest to one that isn't there", () => {
    const keysIn = (text: string): string[] => text.split("\n").flatMap((line) => /^([\w.]+): /.exec(line)?.[1] ?? []);
    const below = keysIn(shown(["schema", "train.contrastive.mining"]));
    expect(below).toEqual(keysIn(shown(["schema"])).filter((key) => key.startsWith("train.contrastive.mining.")));
    expect(below).toContain("train.contrastive.mining.teacher.kind");
    expect(keysIn(shown(["schema", "seed"]))).toEqual(["seed"]);
    const json = JSON.parse(shown(["schema", "train.workers", "--json"])) as { properties: Record<string, { properties: object }> };
    expect([Object.keys(json.properties), Object.keys(json.properties["train"]!.properties)]).toEqual([["train"], ["workers"]]);
    for (const [wrong, remedy] of [
      ["train.contrastive.minig", "did you mean train.contrastive.mining?"],
      ["seed.x", "see tandem config schema"],
    ] as const) {
      const { status, out, error } = compiled.run(["config", "schema", wrong]);
      expect([status, out, error.trimEnd().split("\n")]).toEqual([2, "", [`tandem config: ${wrong}: no such key or section; ${remedy}`]]);
    }
  });
});
