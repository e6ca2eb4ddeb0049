/**
 * Proves that the surface is frozen: docs/config.md and docs/commands.md are what this program says, word for word, so a key, command or option that appears, goes or changes fails here until its page is
 * written anew and read in review. And that each has its place on a page, and that the settings in examples are whole.
 * Alone: npx vitest run test/docs/reference.test.ts
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { commands, helpOf } from "../../src/cli/main.js";
import { loadConfig } from "../../src/config/load-config.js";
import { schema } from "../../src/config/schema.js";
import { schemaKeys, schemaLeaves } from "../../src/config/schema-keys.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { repository } from "./tracked-files.js";

const page = (name: string): string => readFileSync(path.join(repository, "docs", name), "utf8");

describe("the reference pages", () => {
  it("are what the program says", () => {
    execFileSync("npx", ["tsx", "tools/generate-reference.ts", "--check"], { cwd: repository, stdio: "pipe" });
  }, 60_000);

  it("are refused when a word of them differs", () => {
    const copy = temporaryFolder();
    for (const entry of ["src", "tools", "docs", "package.json", ".prettierrc.json"])
      cpSync(path.join(repository, entry), path.join(copy, entry), { recursive: true });
    symlinkSync(path.join(repository, "node_modules"), path.join(copy, "node_modules"));
    mkdirSync(path.join(copy, "conf"));
    const file = path.join(copy, "docs/config.md");
    writeFileSync(file, readFileSync(file, "utf8").replace("**`seed`**", "**`sead`**"));
    const { status, stderr } = spawnSync("npx", ["tsx", "tools/generate-reference.ts", "--check"], { cwd: copy, encoding: "utf8" });
    expect(status).toBe(1);
    expect(stderr).toContain("docs/config.md isn't what the program says");
    expect(stderr).not.toContain("commands.md");
  }, 60_000);

  it("have a line for every key and a heading for every section", () => {
    const text = page("config.md");
    const leaves = new Set(schemaLeaves(schema).map(({ key }) => key));
    for (const key of schemaKeys(schema)) expect(text, key).toContain(leaves.has(key) ? `**\`${key}\`**: ` : `# ${key}\n`);
  });

  it.each(Object.keys(commands))("have the help of tandem %s, with every command below it", async (name) => {
    const text = page("commands.md");
    expect(text).toContain(`\n## tandem ${name}\n`);
    const help = await helpOf([name], 110);
    const listed = /^Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? "";
    // A command's own form stands in the list too, with its arguments.
    const names = [...listed.matchAll(/^ {2}tandem ([a-z]+ [a-z-]+)/gm)].map(([, below = ""]) => below);
    for (const below of names) expect(text).toContain(`\n### tandem ${below}\n`);
    expect(text).toContain(`\n## tandem ${name}\n\n\`\`\`text\n${help.trim()}\n\`\`\`\n`);
  });

  it.each(["train", "plan", "audit", "config show", "config check", "config plan"])(
    "give examples of tandem %s whose settings make a whole config",
    async (name) => {
      const help = await helpOf(name.split(" "), 500);
      const [, block = ""] = /^Examples:\n((?: .*\n)+)/m.exec(help) ?? [];
      const examples = [...block.matchAll(new RegExp(`^ +tandem ${name} (.*?) {2,}`, "gm"))].map(([, words = ""]) => words);
      expect(examples).not.toEqual([]);
      for (const example of examples) {
        // Files of the reader's own and a sweep are no settings of one config.
        if (/--config-dir|--multirun|\.yaml/.test(example)) continue;
        const [settings = ""] = example.split(/ [|>] /);
        const overrides = settings
          .split(" ")
          .map((word) => word.replaceAll("'", ""))
          .filter((word) => /^[+~]?[a-z_.]+=|^~/.test(word));
        expect(() => loadConfig({ overrides }), example).not.toThrow();
      }
    },
  );
});
