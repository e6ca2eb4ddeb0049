/**
 * Proves the command's shell: help that teaches, mistakes on one line with exit code 2 and the nearest right word, bugs with their stack, a quiet
 * end on a closed pipe, a launcher that works from anywhere. Alone: npx vitest run test/cli/main.test.ts
 */
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { CommandModule } from "yargs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { commands } from "../../src/cli/main.js";
import { type CompiledCommand, compileCommand } from "./compiled-command.js";

let compiled: CompiledCommand;
beforeAll(() => {
  compiled = compileCommand("main");
});
afterAll(() => {
  compiled.remove();
});

/** The one line on stderr of words that are refused. */
function refusal(...words: string[]): string {
  const { status, out, error } = compiled.run(words);
  expect({ status, out }, error).toEqual({ status: 2, out: "" });
  expect(error.trimEnd().split("\n")).toHaveLength(1);
  return error.trimEnd();
}

describe("tandem --help", () => {
  it("lists every command with its line, and no word at all does the same", () => {
    const help = compiled.run(["--help"]);
    expect(help.status).toBe(0);
    for (const [name, { describe: line }] of Object.entries(commands))
      expect(help.out).toMatch(new RegExp(`tandem ${name}\\s+${line.slice(0, 30)}`));
    expect(compiled.run([]).out).toBe(help.out);
    expect(compiled.run(["-h"]).out).toBe(help.out);
  });

  it("takes at most 0.3 s where the machine starts Node in a tenth of that", () => {
    const bare = Math.min(...[1, 2, 3].map(() => compiled.run(["-e", "0"], { command: process.execPath }).seconds));
    const help = Math.min(...[1, 2, 3, 4, 5].map(() => compiled.run(["--help"]).seconds));
    // On a busy machine everything is slower: the bound grows with the start of Node itself.
    expect(help).toBeLessThan(Math.max(0.3, 7 * bare));
  });

  it("loads no command", () => {
    const { out, error } = compiled.run(["--help"], { env: { NODE_DEBUG: "esm" } });
    expect(out).toContain("tandem config");
    expect(error).toContain("dist/src/cli/main.js");
    expect(error).not.toMatch(/dist\/src\/(engine|storage|training|retrieval)\//);
  });
});

describe("every command", () => {
  it.each(Object.keys(commands))("%s: has the table's line, a file of its name, examples and an epilogue or sub-commands", async (name) => {
    const { command } = (await commands[name]!.load()) as { command: CommandModule };
    expect(command.describe).toBe(commands[name]!.describe);
    expect(String(command.command).split(" ")[0]).toBe(name);
    expect(existsSync(path.resolve(import.meta.dirname, `../../src/cli/${name}.ts`))).toBe(true);
    const help = compiled.run([name, "--help"]);
    expect({ status: help.status, error: help.error }).toEqual({ status: 0, error: "" });
    expect(help.out).toContain("Examples:");
  });

  it("is in the table: no file of src/cli exports a command that isn't", async () => {
    const folder = path.resolve(import.meta.dirname, "../../src/cli");
    // A process's own program runs when it is loaded.
    for (const file of readdirSync(folder).filter((name) => !name.endsWith("-worker.ts"))) {
      const module = (await import(path.join(folder, file))) as Record<string, unknown>;
      if (module.command !== undefined) expect(Object.keys(commands)).toContain(path.basename(file, ".ts"));
    }
  });
});

describe("a mistake on the command line", () => {
  it.each([
    [["confg"], /^tandem: command line: no command 'confg'; expected .*config.*; did you mean config\?$/],
    [["train.lr=1"], /^tandem: command line: 'train\.lr=1' stands where a command should/],
    [["config", "sho"], /^tandem config: command line: 'sho' means nothing here; did you mean show\?$/],
    [["config"], /^tandem config: command line: say what to do: show, check, plan, migrate or schema; see tandem config --help$/],
    [["config", "show", "--jsn"], /^tandem config: command line: no option --jsn; did you mean --json\?$/],
    [["config", "show", "--zzz=1"], /^tandem config: command line: no option --zzz; see tandem config show --help$/],
    [["config", "show", "--config-dir"], /^tandem config: command line: --config-dir needs a value; see tandem config show --help$/],
    [["ask"], /^tandem ask: command line: words are missing; expected tandem ask <run> \[question\.\.\]; see tandem ask --help$/],
    [["corpus", "show", "x", "--zzz"], /^tandem corpus: command line: no option --zzz; see tandem corpus show --help$/],
    [["config", "schema", "seed", "extra"], /^tandem config: command line: 'extra' means nothing here/],
    [
      ["config", "show", "train.lrr=1"],
      /^tandem config: override 1 'train\.lrr=1': no key 'train\.lrr'; did you mean train\.generator\.lr or/,
    ],
    [["config", "show", "nonsense"], /^tandem config: override 1 'nonsense': no value; expected key=value/],
    [["--jsn"], /^tandem: command line: no option --jsn/],
    [
      ["completion", "tcsh"],
      /^tandem completion: command line: shell can't be "tcsh"; expected bash, zsh, fish; see tandem completion --help$/,
    ],
    [["config", "migrate", "none.yaml"], /^tandem config: none\.yaml: no such file; /],
  ])("%j", (words, line) => {
    expect(refusal(...words)).toMatch(line);
  });
});

describe("overrides", () => {
  it("reach the configuration as they were typed", () => {
    const words = ["name=5e-5", "seed=1_0", "+train.generator.lr=1e-3", "~index.dtype", "prompt.separator='--x'", "eval.limit=7"];
    const { out, status } = compiled.run(["config", "show", "--json", ...words]);
    expect(status).toBe(2);
    expect(out).toBe("");
    const right = compiled.run(["config", "show", "--json", "name='5e-5'", ...words.slice(1)]);
    expect(right.status, right.error).toBe(0);
    expect(JSON.parse(right.out)).toMatchObject({
      name: "5e-5",
      seed: 10,
      train: { generator: { lr: 0.001 } },
      index: { dtype: "f32" },
      prompt: { separator: "--x" },
      eval: { limit: 7 },
    });
  });
});

describe("a closed pipe", () => {
  it("ends the command without a word", () => {
    const { error, out, status } = compiled.shell("for i in 1 2 3; do tandem config schema; done | head -1");
    expect(out.split("\n")).toHaveLength(2);
    expect(error).toBe("");
    expect([0, 141]).toContain(status);
  });
});

describe("Ctrl-C", () => {
  it("ends the command at once, with the shell's 130", () => {
    const script = `import { runToExit } from "${compiled.root}/dist/src/cli/exit.js"; console.log("on"); await runToExit(() => "t", async () => { for (;;); });`;
    const { out, error } = compiled.shell(
      `set -m; node --input-type=module -e '${script}' & child=$!; sleep 1; kill -INT $child; wait $child; echo "code $?"`,
    );
    expect(out, error).toContain("code 130");
  });
});

describe("bin/tandem", () => {
  it("works through a chain of symlinks from another folder", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "tandem-link-"));
    symlinkSync(compiled.tandem, path.join(folder, "inner"));
    symlinkSync("inner", path.join(folder, "tandem"));
    const { out, status } = compiled.run(["config", "show", "experiment=tiny", "--json"], {
      command: path.join(folder, "tandem"),
      cwd: folder,
    });
    rmSync(folder, { recursive: true });
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ name: "tiny", run: { dir: "runs" } });
  });

  it("says how to build what isn't built", () => {
    const dist = path.join(compiled.root, "dist");
    renameSync(dist, `${dist}-away`);
    const { status, out, error } = compiled.run(["--help"]);
    renameSync(`${dist}-away`, dist);
    expect({ status, out }).toEqual({ status: 2, out: "" });
    expect(error).toBe(`tandem: not built yet; run: bash ${compiled.root}/scripts/setup.sh\n`);
  });
});
