/**
 * Proves that the README speaks of the program that is there: its file tree, its commands, which are run, its tables of a run's folder and of the report's rows, and
 * its library example, which is type-checked and run. Alone: npx vitest run test/docs/readme.test.ts
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compileCommand, type CompiledCommand } from "../cli/compiled-command.js";
import { repository, trackedFiles } from "./tracked-files.js";

const readme = readFileSync(path.join(repository, "README.md"), "utf8");

/** The code blocks of one language. */
function blocks(language: string): string[] {
  return [...readme.matchAll(/^```([a-z]*)\n([\s\S]*?)^```/gm)].filter((match) => match[1] === language).map((match) => match[2] ?? "");
}

interface Entry {
  readonly file: string;
  readonly phrase: string;
}

/** The lines of the file tree: two blanks of indent a level, a folder ends with a slash. */
function tree(): Entry[] {
  const parents: string[] = [];
  return (blocks("").at(-1) ?? "")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, indent = "", name = "", phrase = ""] = /^( *)(\S+) {2,}(.+)$/.exec(line) ?? [];
      const depth = indent.length / 2;
      parents.splice(depth, parents.length, name);
      return { file: parents.slice(0, depth).join("") + name, phrase };
    });
}

describe("the file tree", () => {
  const files = trackedFiles();
  const listed = tree().map((entry) => entry.file);

  it("lists nothing that isn't there, each folder with its slash and a phrase", () => {
    expect(listed.length).toBeGreaterThan(20);
    for (const { file, phrase } of tree()) {
      expect(existsSync(path.join(repository, file)), file).toBe(true);
      expect(statSync(path.join(repository, file)).isDirectory(), file).toBe(file.endsWith("/"));
      expect(phrase.length, file).toBeGreaterThan(5);
    }
    expect(new Set(listed).size).toBe(listed.length);
  });

  it("lists every folder at the top but hidden ones", () => {
    const top = new Set(files.flatMap((file) => (file.includes("/") && !file.startsWith(".") ? [`${file.split("/")[0] ?? ""}/`] : [])));
    expect(listed.filter((file) => /^[^/]+\/$/.test(file)).sort()).toEqual([...top].sort());
  });

  it.each(["src", "native", "scripts"])("lists everything directly in %s/", (folder) => {
    const inside = new Set(
      files.flatMap((file) => {
        const [top, name, ...rest] = file.split("/");
        return top === folder && name !== undefined && (rest.length > 0 || folder === "scripts")
          ? [`${folder}/${name}${rest.length > 0 ? "/" : ""}`]
          : [];
      }),
    );
    expect(listed.filter((file) => file.startsWith(`${folder}/`) && file !== `${folder}/`).sort()).toEqual([...inside].sort());
  });
});

/** The words of every `tandem …` line, without its comment. */
function commands(): string[][] {
  const lines = blocks("bash").flatMap((block) => block.split("\n"));
  return lines
    .filter((line) => line.startsWith("tandem "))
    .map((line) => (line.replace(/ +#.*$/, "").match(/"[^"]*"|\S+/g) ?? []).slice(1));
}

/** The command, compiled; and a run in it that took seconds, which learnt nothing but has everything. */
let command: CompiledCommand;
let run: string;

beforeAll(() => {
  command = compileCommand("readme");
  symlinkSync(path.join(repository, "build"), path.join(command.root, "build"));
  symlinkSync(path.join(repository, "node_modules"), path.join(command.root, "node_modules"));
  const { status, error } = command.run(["train", "experiment=tiny", "--quiet"]);
  expect(status, error).toBe(0);
  run = readdirSync(path.join(command.root, "runs")).at(0) ?? "";
  cacheRetriever();
}, 300_000);
afterAll(() => {
  rmSync(path.join(command.root, "build"), { force: true });
  command.remove();
});

/** The run's retriever as a snapshot in a cache: what `tandem fetch` finds there without a network. */
function cacheRetriever(): void {
  const model = path.join(command.root, "hub", "models--sentence-transformers--all-MiniLM-L6-v2");
  const commit = "0".repeat(40);
  mkdirSync(path.join(model, "refs"), { recursive: true });
  writeFileSync(path.join(model, "refs", "main"), commit);
  cpSync(path.join(command.root, "runs", run, "retriever"), path.join(model, "snapshots", commit), { recursive: true });
}

/** A line of the README as it would be typed: this run, and the recipe of seconds for the one of minutes. */
function typed(words: readonly string[]): string[] {
  return words.map((word) =>
    word
      .replace("runs/<run>", `runs/${run}`)
      .replace(/^"(.*)"$/, "$1")
      .replace(/=(quickstart|squad)$/, (whole) => (words[0] === "config" || words[0] === "corpus" ? whole : "=tiny")),
  );
}

describe("the commands", () => {
  it("are all that there are", () => {
    const shown = new Set(commands().map((words) => words[0] ?? ""));
    const offered = new Set([...command.run(["--help"]).out.matchAll(/^ {2}tandem ([a-z]+)/gm)].map((match) => match[1] ?? ""));
    expect(offered.size).toBeGreaterThan(5);
    expect([...offered].sort()).toEqual([...shown].sort());
  });

  it.each(commands().map((words) => [words.join(" "), words] as const))(
    "cozyrag 1, 45: tandem %s runs",
    (_, words) => {
      const env = { HF_HUB_OFFLINE: "1", HF_HUB_CACHE: path.join(command.root, "hub") };
      const { status, out, error } = command.run(typed(words), { env });
      expect(error).not.toMatch(/tandem [a-z]+: /);
      expect(status).toBe(0);
      if (words[0] !== "corpus") expect(out.length).toBeGreaterThan(20);
      // Some train whole runs, and other work may be beside them.
    },
    240_000,
  );

  it("have the options that the README speaks of", () => {
    for (const [verb, option] of [
      ["ask", "--json"],
      ["ask", "retrieval"],
      ["search", "--json"],
      ["eval", "--json"],
      ["doctor", "--json"],
    ] as const) {
      expect(command.run([verb, "--help"]).out, `${verb} ${option}`).toContain(option);
    }
  });

  it("name scripts that exist", () => {
    const scripts = [...readme.matchAll(/(?:bash|sbatch) (scripts\/[a-z-]+\.sh)/g)].map((match) => match[1] ?? "");
    expect(scripts.length).toBeGreaterThan(3);
    for (const script of scripts) expect(existsSync(path.join(repository, script)), script).toBe(true);
  });
});

describe("the table of a run's folder", () => {
  it("names what a run leaves, no more and no less", () => {
    const section = /^## A run's folder\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? "";
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+?)\/?`/g)].map((match) => match[1] ?? ""));
    // The patch is there only when something wasn't committed, the list of resumptions only in a run that was resumed, a score only where eval ran.
    const left = readdirSync(path.join(command.root, "runs", run)).filter((name) => !/\.patch$|^resumptions|^eval-/.test(name));
    // What only other runs leave: those with models from the hub (models.test.ts), with --profile, in which an alarm rings (collapse-alarms.test.ts), with a fixed index (fixed-index.test.ts).
    const others = ["models.json", "profile", "alarms.jsonl", "passage-retriever"];
    expect(named).toEqual(expect.arrayContaining(others));
    expect(named.filter((name) => !others.includes(name)).sort()).toEqual(left.sort());
  });
});

describe("the table of rows", () => {
  it("names the report's rows", () => {
    const section = /^## What the quickstart shows\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? "";
    const named = [...section.matchAll(/^\| `([a-z-0-9]+)` +\|/gm)].map((match) => match[1] ?? "");
    const report = JSON.parse(readFileSync(path.join(command.root, "runs", run, "report.json"), "utf8")) as { rows: { name: string }[] };
    expect(named.sort()).toEqual(report.rows.map(({ name }) => name).sort());
  });
});

describe("the library example", () => {
  const [example = ""] = blocks("ts");
  const here = (): string => example.replace("runs/<run>", `runs/${run}`);

  it("is fifteen lines or fewer", () => {
    expect(example.trim()).not.toBe("");
    expect(
      example
        .trimEnd()
        .split("\n")
        .filter((line) => line !== "").length,
    ).toBeLessThanOrEqual(15);
  });

  it("has no type errors", () => {
    const file = path.join(command.root, "example.mts");
    writeFileSync(file, here());
    const settings = ts.readConfigFile(path.join(repository, "tsconfig.json"), (name) => ts.sys.readFile(name)).config as {
      compilerOptions: object;
    };
    const { options } = ts.convertCompilerOptionsFromJson(
      { ...settings.compilerOptions, noEmit: true, paths: { tandem: ["./src/index.ts"] } },
      repository,
    );
    const found = ts.getPreEmitDiagnostics(ts.createProgram([file], { ...options, rootDir: repository }));
    expect(
      found.filter((fault) => fault.file?.fileName === file).map((fault) => ts.flattenDiagnosticMessageText(fault.messageText, "\n")),
    ).toEqual([]);
  }, 120_000);

  it("runs, and changes the retriever", () => {
    const script = `${ts.transpileModule(here(), { compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext } }).outputText}
import assert from "node:assert";
const changed = (await openPair("runs/${run}").encoder.embed(questions)).sub(encoder.embed(questions)).abs().amax().item();
assert(changed > 0, "the update changed nothing");`;
    writeFileSync(path.join(command.root, "example.mjs"), script);
    // A script of a few lines lets its tensors go with the process; whether the collector comes by before is chance.
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--disable-warning=TensorLeak", "example.mjs"], {
      cwd: command.root,
      encoding: "utf8",
    });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toContain("Who designed Hirpum?");
  });
});
