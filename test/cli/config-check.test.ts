/**
 * Proves `tandem config check` and `tandem config migrate` as a user runs them: what goes to which stream, exit status 0 and 2, --json, --partial, --config-dir, files with = in their names, and how
 * questions are counted. Alone: npx vitest run test/cli/config-check.test.ts
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type CompiledCommand, compileCommand } from "./compiled-command.js";

const WHOLE = "data: {corpus: {path: c}, questions: {train: q}}\n";

let compiled: CompiledCommand;
let folder: string;
beforeAll(() => {
  compiled = compileCommand("config-check");
  folder = mkdtempSync(path.join(tmpdir(), "tandem-check-"));
});
beforeEach(() => {
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  // What the configurations name, so that nothing is said of files that aren't there.
  for (const name of ["c", "q"]) writeFileSync(path.join(folder, name), "");
  symlinkSync(path.resolve(import.meta.dirname, "../../data"), path.join(folder, "data"));
});
afterAll(() => {
  compiled.remove();
  rmSync(folder, { recursive: true });
});

function write(name: string, text: string): void {
  mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  writeFileSync(path.join(folder, name), text);
}

const run = (...words: string[]) => compiled.run(["config", ...words], { cwd: folder });

describe("tandem config check", () => {
  it("says ok on stdout and ends with 0", () => {
    write("good.yaml", WHOLE);
    expect(run("check", "good.yaml", "seed=3")).toMatchObject({ status: 0, out: "good.yaml: ok\n", error: "" });
    const { status, out, error } = run("check", "experiment=tiny");
    expect([status, error]).toEqual([0, ""]);
    // What is doubtful stands below, and isn't a fault.
    expect(out).toMatch(/^experiment=tiny: ok\n( {2}warning: .*\n)*$/);
  });

  it("names each fault on a line of its own and ends with 2", () => {
    write("bad.yaml", `${WHOLE}sed: 1\ntrain: {generator: {accumulate: 9}}\n`);
    write("good.yaml", WHOLE);
    const { status, out, error } = run("check", "bad.yaml", "good.yaml", "generation.beams=4");
    expect([status, error]).toEqual([2, ""]);
    const lines = out.split("\n");
    expect(lines[0]).toBe("bad.yaml: 3 faults");
    expect(lines[1]).toMatch(/^ {2}bad\.yaml:2: no key 'sed'; did you mean seed/);
    expect(lines[2]).toMatch(/^ {2}bad\.yaml:3: 'train\.generator\.accumulate' is more than the batch of 4/);
    expect(lines[3]).toMatch(/^ {2}override 1 'generation\.beams=4': /);
    expect(lines[4]).toBe("good.yaml: 1 fault");
  });

  it("--json has the same for programs", () => {
    write("bad.yaml", "sed: 1\n");
    const { status, out } = run("check", "--json", "--partial", "bad.yaml", "experiment=tiny", "gone.yaml");
    expect(status).toBe(2);
    const [bad, gone, ...rest] = JSON.parse(out) as { checked: string; faults: string[]; warnings: string[] }[];
    expect(bad).toMatchObject({ checked: "bad.yaml", warnings: [] });
    expect(bad?.faults[0]).toMatch(/no key 'experiment'/);
    expect(gone).toMatchObject({ checked: "gone.yaml", faults: [expect.stringMatching(/^gone\.yaml: no such file/)] });
    expect(rest).toEqual([]);
  });

  it("--partial lets pass what must still be given, and the fault says so", () => {
    const file = path.join(compiled.root, "conf/index/exact.yaml");
    const { status, out } = run("check", file);
    expect(status).toBe(2);
    expect(out).toMatch(/: 2 faults\n.*'data\.corpus\.path' must be given.*; add data\.corpus\.path=…, or --partial to let it pass\n/);
    expect(run("check", "--partial", file)).toMatchObject({ status: 0, out: `${file}: ok\n` });
    expect(run("check", "--partial", path.join(compiled.root, "conf/config.yaml")).status).toBe(0);
    expect(run("check", "--partial")).toMatchObject({ status: 0, out: "config: ok\n" });
    expect(run("check").status).toBe(2);
  });

  it("takes a file for one whatever its name holds", () => {
    write("a=b.yaml", WHOLE);
    write("~c.yaml", "sed: 1\n");
    expect(run("check", "./a=b.yaml")).toMatchObject({ status: 0, out: "./a=b.yaml: ok\n" });
    expect(run("check", "a=b.yaml")).toMatchObject({ status: 0, out: "a=b.yaml: ok\n" });
    const long = `prompt.answer_prefix=${"x".repeat(5000)}`;
    expect(run("check", "--partial", long)).toMatchObject({ status: 0, error: "" });
    expect(run("check", "--partial", "~c.yaml").out).toMatch(/no key 'sed'/);
  });

  it("says when --config-dir is not what a file is composed from", () => {
    write("mine/experiment/x.yaml", "# @package _global_\ndefaults:\n  - override /data: quickstart\nname: x\n");
    write("other/experiment/y.yaml", "# @package _global_\ndefaults:\n  - override /data: quickstart\nname: y\n");
    write("alone.yaml", WHOLE);
    expect(run("check", "--config-dir", "mine", "mine/experiment/x.yaml")).toMatchObject({
      status: 0,
      out: "mine/experiment/x.yaml: ok\n",
    });
    expect(run("check", "--config-dir", "other", "mine/experiment/x.yaml").out).toMatch(
      /^mine\/experiment\/x\.yaml: ok\n {2}warning: --config-dir other isn't read: the file is composed from mine\n$/,
    );
    expect(run("check", "--config-dir", "other", "alone.yaml").out).toMatch(
      /warning: --config-dir other isn't read: the file stands alone\n$/,
    );
    expect(run("check", "--config-dir", "gone", "experiment=tiny").status).toBe(2);
  });
});

describe("tandem config migrate", () => {
  /** Of the first phase that trains: before it an index is made. */
  const stepsOf = (out: string): unknown =>
    (parse(out) as { train: { schedule: { steps?: number }[] } }).train.schedule.find(({ steps }) => steps !== undefined)?.steps;
  const OLD = "qa_path: qa.tsv\nwiki_passages_path: w.jsonl\nbatch_size: 1\nnum_train_epochs: 1\n";

  it("prints the new config, warns of unknown keys on stderr, and writes no file", () => {
    write("old.yaml", `${OLD}lerning_rate: 1\n`);
    const before = readdirSync(folder);
    const { status, out, error } = run("migrate", "old.yaml");
    expect(status).toBe(0);
    expect(out).toMatch(/^# @package _global_\n/);
    expect(parse(out)).toMatchObject({ name: "cozyrag", data: { questions: { train: "qa.tsv" } } });
    expect(error).toBe("warning: unknown key lerning_rate (old.yaml:5), left out\n");
    expect(readdirSync(folder)).toEqual(before);
    write("new.yaml", out);
    expect(run("check", "new.yaml")).toMatchObject({ status: 0, error: "" });
  });

  it("counts the questions in qa_path, unless --questions says how many", () => {
    write("old.yaml", OLD);
    expect(run("migrate", "old.yaml").out).toContain("the questions were not counted (--questions N)");
    write("qa.tsv", "a\tb\n\n \nc\td\n");
    expect(stepsOf(run("migrate", "old.yaml").out)).toBe(2);
    expect(stepsOf(run("migrate", "old.yaml", "--questions", "7").out)).toBe(7);
    rmSync(path.join(folder, "qa.tsv"));
    symlinkSync("/dev/zero", path.join(folder, "qa.tsv"));
    expect(run("migrate", "old.yaml").out).toContain("the questions were not counted");
  });

  it.each(["0", "-1", "abc", "1.5", "1e300"])("--questions %s is refused in one line, and nothing is printed", (count) => {
    write("old.yaml", OLD);
    const { status, out, error } = run("migrate", "old.yaml", `--questions=${count}`);
    expect([status, out]).toEqual([2, ""]);
    expect(error).toMatch(/^.*--questions: isn't a count; expected a whole number from 1 to 1000000000, got .*\n$/);
  });

  it.each([
    ["gone.yaml", /gone\.yaml: no such file; mend the path/],
    [".", /can't be read \(EISDIR\)/],
    ["bad.yaml", /bad\.yaml:1: 'top_k' has a wrong value/],
  ])("%s is refused in one line", (file, pattern) => {
    write("bad.yaml", "top_k: 1000000000\n");
    const { status, out, error } = run("migrate", file);
    expect([status, out]).toEqual([2, ""]);
    expect(error).toMatch(pattern);
    expect(error.trimEnd()).not.toContain("\n");
  });
});
