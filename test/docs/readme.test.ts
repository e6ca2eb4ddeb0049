/**
 * Proves that the README speaks of the program that is there: its file tree, its commands with their overrides and options, its table of a run's folder, and
 * its library example, which is run. Alone: npx vitest run test/docs/readme.test.ts
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
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

/** What the command prints, run from the sources. */
function tandem(...words: string[]): { status: number | null; out: string; error: string } {
  const main = path.join(repository, "src/cli/main.ts");
  const start = `import(${JSON.stringify(main)}).then(({ main }) => main(${JSON.stringify(words)}));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", "--eval", start], {
    cwd: repository,
    encoding: "utf8",
  });
  return { status, out: stdout, error: stderr };
}

describe("the commands", () => {
  it("are all there, and all are shown", () => {
    const verbs = new Set(commands().map((words) => words[0] ?? ""));
    const { out } = tandem("--help");
    const offered = new Set([...out.matchAll(/^ {2}tandem ([a-z]+)/gm)].map((match) => match[1] ?? ""));
    expect(offered.size).toBeGreaterThan(5);
    expect([...verbs].filter((verb) => !offered.has(verb))).toEqual([]);
  });

  const overridden = commands().filter((words) => words.some((word) => word.includes("=") && !word.startsWith("-")));
  it.each(overridden.map((words) => [words.join(" "), words] as const))("tandem %s has overrides that the config takes", (_, words) => {
    const overrides = words.filter((word) => word.includes("=") && !word.startsWith("-"));
    const { status, error } = tandem("config", "show", ...overrides);
    expect(error).toBe("");
    expect(status).toBe(0);
  });

  it("have the options that the README speaks of", () => {
    const spoken = commands().flatMap((words) =>
      words.filter((word) => word.startsWith("--")).map((option) => [words[0] ?? "", option] as const),
    );
    for (const [verb, option] of [
      ...spoken,
      ["config", "--sources"],
      ["ask", "--json"],
      ["search", "--json"],
      ["eval", "--json"],
    ] as const) {
      expect(tandem(verb, "--help").out + tandem(verb, "show", "--help").out, `${verb} ${option}`).toContain(option);
    }
  });

  it("name scripts that exist", () => {
    const scripts = [...readme.matchAll(/(?:bash|sbatch) (scripts\/[a-z-]+\.sh)/g)].map((match) => match[1] ?? "");
    expect(scripts.length).toBeGreaterThan(3);
    for (const script of scripts) expect(existsSync(path.join(repository, script)), script).toBe(true);
  });
});

describe("the table of a run's folder", () => {
  it("names the places that a run has, no more and no fewer", async () => {
    const { runPlaces } = await import("../../src/tracking/run-directory.js");
    const section = /^## A run's folder\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? "";
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+?)\/?`/g)].map((match) => match[1] ?? ""));
    const { path: folder, resumptions, ...places } = runPlaces("run");
    expect(resumptions.startsWith(folder)).toBe(true);
    expect(named.sort()).toEqual(
      Object.values(places)
        .map((place) => path.basename(place))
        .sort(),
    );
  });
});

describe("the library example", () => {
  const [example = ""] = blocks("ts");

  it("is fifteen lines or fewer", () => {
    expect(example.trim()).not.toBe("");
    expect(example.trimEnd().split("\n").length).toBeLessThanOrEqual(15);
  });
});
