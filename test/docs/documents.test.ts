/**
 * Proves that the documents speak of what is there: every path and link in them exists, every package has its notice, versions agree.
 * The README's own parts are tested in readme.test.ts. Alone: npx vitest run test/docs/documents.test.ts
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { repository, trackedFiles } from "./tracked-files.js";

const read = (file: string): string => readFileSync(path.join(repository, file), "utf8");
const json = (file: string): Record<string, unknown> => JSON.parse(read(file)) as Record<string, unknown>;
const documents = trackedFiles().filter((file) => file.endsWith(".md") && !file.startsWith("test/fixtures/"));
const folders = [...new Set(trackedFiles().flatMap((file) => (file.includes("/") ? [file.split("/")[0] ?? ""] : [])))];

/** Backticked words that start with a folder of the repository and hold no placeholder. */
function pathsIn(text: string): string[] {
  const words = [...text.matchAll(/`([^`\s]+)`/g)].map((match) => match[1] ?? "");
  return words.filter((word) => folders.some((folder) => word.startsWith(`${folder}/`)) && !/[<>*{}]/.test(word));
}

/** Relative targets of links and images. */
function linksIn(text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? "");
  return targets.filter((target) => !/^(https?:|mailto:|#)/.test(target)).map((target) => target.split("#")[0] ?? "");
}

describe.each(documents)("%s", (document) => {
  it("names only paths that exist", () => {
    // What a run or a build makes isn't in the repository.
    const made = /^(build|dist|runs|node_modules)\//;
    const missing = pathsIn(read(document)).filter((named) => !made.test(named) && !existsSync(path.join(repository, named)));
    expect(missing).toEqual([]);
  });

  it("links only to files that exist", () => {
    const folder = path.dirname(path.join(repository, document));
    expect(linksIn(read(document)).filter((target) => !existsSync(path.join(folder, target)))).toEqual([]);
  });

  it("closes its code blocks", () => {
    expect((read(document).match(/^```/gm) ?? []).length % 2).toBe(0);
  });
});

describe("the predecessor's defects", () => {
  it("are each named by a test", () => {
    const tests = trackedFiles().filter((file) => file.endsWith(".test.ts"));
    const named = tests.flatMap((file) =>
      [...read(file).matchAll(/\bcozyrag ((?:\d+(?:, )?)+)/g)].flatMap((match) => (match[1] ?? "").split(", ")),
    );
    const missing = Array.from({ length: 45 }, (_, i) => String(i + 1)).filter((row) => !named.includes(row));
    expect(missing).toEqual([]);
  });
});

describe("licences", () => {
  const manifest = json("package.json") as { version: string; license: string; dependencies: object; devDependencies: object };
  const packages = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)];

  it.each(packages)("%s is named with the licence that it declares", (name) => {
    const { license } = json(`node_modules/${name}/package.json`) as { license: string };
    const row = read("THIRD_PARTY_NOTICES.md")
      .split("\n")
      .find((line) => line.startsWith("|") && (line.split("|")[1] ?? "").split(",").some((cell) => cell.trim() === name));
    expect(row).toBeDefined();
    expect((row ?? "").split("|")[2]?.trim()).toBe(license);
  });

  it("are permissive in all packages that the program loads", () => {
    const lock = json("package-lock.json") as { packages: Record<string, { dev?: boolean; license?: string }> };
    const loaded = Object.entries(lock.packages).filter(([name, entry]) => name !== "" && entry.dev !== true);
    const others = loaded.filter(
      ([, entry]) => !["MIT", "ISC", "Apache-2.0", "0BSD", "BSD-3-Clause", "BSD-2-Clause", "Unlicense"].includes(entry.license ?? ""),
    );
    expect(loaded.length).toBeGreaterThan(10);
    expect(others.map(([name]) => name)).toEqual([]);
  });

  it("name the reference libraries of environment/requirements-reference.txt", () => {
    const names = read("environment/requirements-reference.txt")
      .split("\n")
      .flatMap((line) => /^([a-z0-9-]+)==/.exec(line)?.[1] ?? []);
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(read("THIRD_PARTY_NOTICES.md")).toContain(name);
  });

  it("agree: package.json, LICENSE, CITATION.cff", () => {
    expect(manifest.license).toBe("Apache-2.0");
    expect(read("LICENSE")).toContain("Version 2.0, January 2004");
    expect(read("LICENSE")).toContain("END OF TERMS AND CONDITIONS");
    expect(read("CITATION.cff")).toMatch(/^license: Apache-2\.0$/m);
    expect(/^version: (.+)$/m.exec(read("CITATION.cff"))?.[1]).toBe(manifest.version);
  });
});

describe("requirements", () => {
  it("pin every Python package to one version", () => {
    for (const file of ["environment/requirements.txt", "environment/requirements-reference.txt", "environment/requirements-mlflow.txt"]) {
      const lines = read(file)
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("-r "));
      expect(lines.length).toBeGreaterThan(0);
      for (const line of lines) expect(line).toMatch(/^[a-z0-9-]+==[0-9.]+$/);
    }
  });

  it("list Debian packages with a need, a probe and a reason", () => {
    const rows = read("environment/apt.txt")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    for (const row of rows) expect(row).toMatch(/^(build|python|venv|test) +[a-z0-9+.-]+ +(command|python|header):\S+ +\S/);
  });
});
