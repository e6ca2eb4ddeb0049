/**
 * Proves that a run directory says what was run: resolved config, overrides, git revision with uncommitted changes, versions; and that runs are
 * found again. Alone: npx vitest run test/tracking/run-directory.test.ts
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { packageRoot } from "../../src/storage/package-root.js";
import { gitRevision } from "../../src/tracking/git-revision.js";
import { createRunDirectory, latestRun, noteResumption, openRunDirectory, runPlaces } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";

const scratch = temporaryFolder();
const fresh = (): string => mkdtempSync(join(scratch, "case-"));
const config = {
  seed: 0,
  train: { lr: 5e-5, schedule: [{ phase: "generator", steps: 3 }] },
  prompt: { template: "Q: {question}\nA:" },
  none: null,
};
const overrides = ["train.lr=5e-5", "prompt.template='a: b'", "~none"];
const start = new Date("2026-03-14T15:09:26.535Z");
const described = {
  name: "quickstart",
  configYaml: stringify(config),
  overrides,
  versions: { tandem: "0.1.0", libtorch: "2.13.0" },
  start,
};
const environmentOf = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(runPlaces(path).environment, "utf8")) as Record<string, unknown>;

describe("a run directory", () => {
  it("is named by time and name and holds what was run", () => {
    const root = join(fresh(), "runs");
    const run = createRunDirectory(root, described);
    expect(run.path).toBe(join(root, "20260314-150926-quickstart"));
    expect(parse(readFileSync(run.config, "utf8"))).toEqual(config);
    expect(parse(readFileSync(run.overrides, "utf8"))).toEqual(overrides);
    const environment = environmentOf(run.path);
    expect(environment).toMatchObject({ name: "quickstart", start: "2026-03-14T15:09:26.535Z", versions: described.versions });
    const git = environment["git"] as { revision: string; changes: string | null } | null;
    expect(git === null || /^[0-9a-f]{40}$/.test(git.revision)).toBe(true);
    expect(namesIn(run.path).filter((name) => !name.endsWith(".patch"))).toEqual([
      "checkpoints",
      "config.yaml",
      "environment.json",
      "overrides.yaml",
      "validation",
    ]);
    expect(openRunDirectory(run.path)).toEqual(run);
  });

  it("takes a number when another job has the name, and never mixes two runs", () => {
    const root = fresh();
    const paths = [1, 2, 3].map(() => createRunDirectory(root, described).path);
    expect(paths.map((path) => path.slice(root.length + 1))).toEqual([
      "20260314-150926-quickstart",
      "20260314-150926-quickstart+2",
      "20260314-150926-quickstart+3",
    ]);
  });

  it("notes each time that the run is taken up again", () => {
    const run = createRunDirectory(fresh(), described);
    noteResumption(run, { step: 5, overrides: ["threads=1"], versions: { tandem: "0.1.1" } });
    noteResumption(run, { step: 9, overrides: [], versions: { tandem: "0.1.2" } });
    const lines = readFileSync(run.resumptions, "utf8").trim().split("\n");
    const notes = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(notes.map(({ step, overrides: words, versions }) => [step, words, versions])).toEqual([
      [5, ["threads=1"], { tandem: "0.1.1" }],
      [9, [], { tandem: "0.1.2" }],
    ]);
  });

  it("refuses names that are no folder's, and roots that can't hold it", () => {
    const root = fresh();
    for (const name of ["", "../x", "a/b", ".hidden", "-rf", "a b", "é", "x+2", "x".repeat(101)]) {
      expect(faultOf(() => createRunDirectory(root, { ...described, name }))).toMatch(
        /^name: can't be the name of a run; expected letters/,
      );
    }
    expect(namesIn(root)).toEqual([]);
    writeFileSync(join(root, "file"), "");
    expect(faultOf(() => createRunDirectory(join(root, "file"), described))).toContain("file: exists already");
    expect(faultOf(() => createRunDirectory(join(root, "file/runs"), described))).toContain("a part of the path is a file");
    writeFileSync(join(root, "20260314-150926-quickstart"), "");
    expect(faultOf(() => createRunDirectory(root, described))).toContain("exists already");
  });

  it("is refused when it is none", () => {
    const root = fresh();
    expect(faultOf(() => openRunDirectory(root))).toContain(
      "is not a run directory; expected a folder with config.yaml and environment.json",
    );
    expect(faultOf(() => openRunDirectory(join(root, "none")))).toContain("no such folder");
  });
});

describe("latestRun", () => {
  it("finds the youngest whole run of the name", () => {
    const root = fresh();
    const make = (name: string, time: string): string => createRunDirectory(root, { ...described, name, start: new Date(time) }).path;
    expect(latestRun(root, "squad")).toBeUndefined();
    expect(latestRun(join(root, "none"), "squad")).toBeUndefined();
    const old = make("squad", "2026-03-14T10:00:00Z");
    make("squad-large", "2027-01-01T00:00:00Z");
    make("large-squad", "2027-01-01T00:00:00Z");
    expect(latestRun(root, "squad")?.path).toBe(old);
    for (let number = 2; number <= 11; number++) make("squad", "2026-03-14T10:00:00Z");
    expect(latestRun(root, "squad")?.path).toBe(`${old}+11`);
    const young = make("squad", "2026-03-14T10:00:01Z");
    expect(latestRun(root, "squad")?.path).toBe(young);
    // A job that died before it had written its environment is no run.
    mkdirSync(join(root, "20280101-000000-squad"));
    expect(latestRun(root, "squad")?.path).toBe(young);
  });
});

describe("gitRevision", () => {
  const repository = (): { folder: string; git: (...words: string[]) => string } => {
    const folder = fresh();
    const identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"];
    const git = (...words: string[]): string => execFileSync("git", [...identity, ...words], { cwd: folder, encoding: "utf8" });
    git("init", "-q");
    writeFileSync(join(folder, "file"), "one\n");
    git("add", "file");
    git("commit", "-q", "-m", "first");
    return { folder, git };
  };

  it("says commit and branch, and keeps what is not committed as a patch that applies", () => {
    const { folder, git } = repository();
    const revision = git("rev-parse", "HEAD").trim();
    expect(gitRevision(folder)).toEqual({ revision, branch: "main", changes: undefined });
    writeFileSync(join(folder, "untracked"), "");
    expect(gitRevision(folder)?.changes).toBeUndefined();
    writeFileSync(join(folder, "file"), "one\ntwo\n");
    const changes = gitRevision(folder)?.changes ?? "";
    expect(changes).toContain("+two");
    git("checkout", "-q", "--detach");
    git("checkout", "-q", "file");
    writeFileSync(join(folder, "changes.patch"), changes);
    git("apply", "changes.patch");
    expect(readFileSync(join(folder, "file"), "utf8")).toBe("one\ntwo\n");
    expect(gitRevision(folder)?.branch).toBeUndefined();
  });

  it("is unknown outside a checkout, below one's top, and before the first commit", () => {
    const { folder, git } = repository();
    mkdirSync(join(folder, "node_modules/tandem"), { recursive: true });
    expect(gitRevision(join(folder, "node_modules/tandem"))).toBeUndefined();
    expect(gitRevision(fresh())).toBeUndefined();
    rmSync(join(folder, ".git"), { recursive: true });
    git("init", "-q");
    expect(gitRevision(folder)).toBeUndefined();
  });
});

describe("collectVersions", () => {
  it("names what is installed and the machine, and takes the engine's facts from the caller", () => {
    const versions = collectVersions({ libtorch: "2.13.0", threads: 2 });
    const dependencies = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8")) as {
      version: string;
      dependencies: Record<string, string>;
    };
    expect(versions).toMatchObject({ tandem: dependencies.version, node: process.versions.node, libtorch: "2.13.0", threads: 2 });
    for (const name of Object.keys(dependencies.dependencies)) {
      const installed = JSON.parse(readFileSync(join(packageRoot(), "node_modules", name, "package.json"), "utf8")) as { version: string };
      expect(versions[name]).toBe(installed.version);
    }
    expect(versions["cores"]).toBeGreaterThan(0);
    expect(existsSync(join(packageRoot(), "package.json"))).toBe(true);
  });
});
