/**
 * Proves that the tab key offers what could stand there, in real shells: commands, sub-commands, options and their choices, keys one level at a time, values, runs; that it is quick; and that it never prints a
 * message into a half-typed line. bash is always there; zsh and fish are skipped where they aren't. Alone: npx vitest run test/cli/completion.test.ts
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completeWords, type Candidate } from "../../src/cli/complete-words.js";
import { commands } from "../../src/cli/main.js";
import { schema } from "../../src/config/schema.js";
import { schemaLeaves } from "../../src/config/schema-keys.js";
import { compileCommand, type CompiledCommand } from "./compiled-command.js";

/** The shipped experiments that begin so, as the tab key offers them. */
const squad = readdirSync(new URL("../../conf/experiment", import.meta.url))
  .filter((file) => file.startsWith("sq"))
  .map((file) => `experiment=${path.basename(file, ".yaml")}`)
  .sort();

let command: CompiledCommand;
let folder: string;
beforeAll(() => {
  command = compileCommand("completion");
  folder = mkdtempSync(path.join(os.tmpdir(), "tandem-tab-"));
  mkdirSync(path.join(folder, "runs/20260101-000000-a"), { recursive: true });
  for (const name of ["b", "b+2", "b+10"]) mkdirSync(path.join(folder, `runs/20260102-000000-${name}`), { recursive: true });
  writeFileSync(path.join(folder, "questions.tsv"), "");
}, 300_000);
afterAll(() => {
  command.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** What is offered, by value. */
const offered = (...words: string[]): string[] => {
  const { status, out, error } = command.run(["__complete", ...words], { cwd: folder });
  expect(error).toBe("");
  expect(status).toBe(0);
  return out.split("\n").flatMap((line) => (line === "" ? [] : [line.split("\t")[0] ?? ""]));
};

describe("what is offered", () => {
  it("first: every command, with what it does", () => {
    expect(offered("")).toEqual(Object.keys(commands));
    expect(offered("--")).toEqual(["--help", "--version"]);
    expect(command.run(["__complete", "tr"]).out).toBe(`train\t${commands["train"]!.describe}\n`);
  });

  it.each([
    ["sub-commands", ["config", ""], ["show", "check", "plan", "migrate", "schema"]],
    ["options that begin so", ["train", "--re"], ["--resume"]],
    ["an option's choices", ["init", "mine", "--model", ""], ["small", "minilm-scratch"]],
    ["a place's choices", ["completion", ""], ["bash", "zsh", "fish"]],
    ["nothing after an option that takes a file, so that the shell offers files", ["init", "mine", "--corpus", ""], []],
    ["a section's next level", ["train", "train.gen"], ["train.generator."]],
    ["a key with its =", ["train", "train.generator.l"], ["train.generator.lr=", "train.generator.label_smoothing="]],
    ["a choice's values", ["train", "index.metric=i"], ["index.metric=inner-product"]],
    ["a switch's values", ["train", "index.faiss="], ["index.faiss=true", "index.faiss=false"]],
    ["a group's choices", ["train", "experiment=sq"], squad],
    ["an added key with its sign", ["train", "+train.gen"], ["+train.generator."]],
    [
      "runs, the newest first",
      ["ask", ""],
      ["latest", ...["02-000000-b+10", "02-000000-b+2", "02-000000-b", "01-000000-a"].map((name) => `runs/202601${name}`)],
    ],
    ["keys behind a run", ["eval", "latest", "eval.bat"], ["eval.batch="]],
    ["nothing for a command that isn't there", ["nonsense", ""], []],
    ["nothing for a key that isn't there", ["train", "nonsense.x"], []],
    ["nothing for a config folder that isn't one", ["train", "--config-dir", "/nowhere", "data=q"], []],
  ])("%s", (_, words, expected) => {
    expect(offered(...words)).toEqual(expected);
  });

  it("leads to every key of the schema, level by level", async () => {
    const ask = (typed: string): Promise<Candidate[]> =>
      completeWords(["train", typed], { names: commands, help: () => Promise.resolve("tandem train [overrides..]\n") });
    const reached: string[] = [];
    const walk = async (typed: string): Promise<void> => {
      for (const { value } of await ask(typed)) {
        if (value.endsWith(".")) await walk(value);
        else reached.push(value.slice(0, -1));
      }
    };
    await walk("");
    const keys = schemaLeaves(schema).map(({ key }) => key);
    expect(keys.filter((key) => !reached.includes(key))).toEqual([]);
  });

  it("takes little more than the command's help", () => {
    const fastest = (words: readonly string[]): number => Math.min(...[1, 2, 3].map(() => command.run(words).seconds));
    expect(fastest(["__complete", "train", "train.gen"])).toBeLessThan(2 * fastest(["--help"]) + 0.05);
  });
});

/** Presses the tab key at the end of a line in bash; what it would put in the last word's place, by readline's own splitting at = and :. */
function tab(line: string): string[] {
  const script = `
eval "$(tandem completion bash)"
COMP_LINE=$1 COMP_POINT=\${#1}
_tandem
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: `${path.dirname(command.tandem)}:${process.env["PATH"] ?? ""}` };
  const { stdout, stderr } = spawnSync("bash", ["-c", script, "bash", line], { cwd: folder, encoding: "utf8", env });
  expect(stderr).toBe("");
  return stdout.split("\n").filter((reply) => reply !== "");
}

describe("bash", () => {
  it.each([
    ["a command, closed by a blank", "tandem tra", ["train "]],
    ["the next word", "tandem config ", ["show ", "check ", "plan ", "migrate ", "schema "]],
    ["a key, left open", "tandem train train.generator.lr", ["train.generator.lr="]],
    ["only what stands behind =, as readline replaces only that", "tandem train experiment=qu", ["quickstart "]],
    ["nothing, and so files, behind a path's =", "tandem eval latest eval.questions=", []],
  ])("puts in %s", (_, line, expected) => {
    expect(tab(line)).toEqual(expected);
  });
});

const has = (shell: string): boolean => spawnSync(shell, ["--version"], { stdio: "ignore" }).status === 0;

describe.skipIf(!has("fish"))(`fish${has("fish") ? "" : " (skipped: not installed)"}`, () => {
  it("offers commands with what they do, and keys", () => {
    const env = { ...process.env, PATH: `${path.dirname(command.tandem)}:${process.env["PATH"] ?? ""}`, HOME: folder };
    const script = "tandem completion fish | source; complete -C'tandem tra'; complete -C'tandem train train.generator.lr'";
    const { stdout } = spawnSync("fish", ["-c", script], { cwd: folder, encoding: "utf8", env });
    expect(stdout).toMatch(/^train\ttrain a retriever/m);
    expect(stdout).toMatch(/^train\.generator\.lr=/m);
  });
});

describe.skipIf(!has("zsh"))(`zsh${has("zsh") ? "" : " (skipped: not installed)"}`, () => {
  it("offers commands, keys left open and values closed", () => {
    const env = { ...process.env, PATH: `${path.dirname(command.tandem)}:${process.env["PATH"] ?? ""}`, HOME: folder };
    // compadd works only inside the line editor; here it says what it was given.
    const script = `
compdef() { :; }
compset() { :; }
_files() { print files; }
compadd() { print -- "$@"; }
eval "$(tandem completion zsh)"
ask() { words=("$@"); CURRENT=$#; _tandem; }
ask tandem tra; ask tandem train train.generator.lr; ask tandem train experiment=sq; ask tandem eval latest eval.questions=`;
    const { stdout, stderr } = spawnSync("zsh", ["-f", "-c", script], { cwd: folder, encoding: "utf8", env });
    expect(stderr).toBe("");
    expect(stdout.trimEnd().split("\n")).toEqual(["-- train", "-S  -- train.generator.lr=", `-- ${squad.join(" ")}`, "files"]);
  });
});
