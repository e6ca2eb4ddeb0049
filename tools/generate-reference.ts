/**
 * Writes docs/config.md (every key, from the schema) and docs/commands.md (every command's help, as the program prints it). A test holds both equal to the program, so a key, command or option that appears, goes or
 * changes is seen in review, and none is without a page.
 *
 * Run: npx tsx tools/generate-reference.ts [--check]
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { format, resolveConfig } from "prettier";
import { commands, helpOf } from "../src/cli/main.js";
import { renderReference } from "../src/config/reference.js";
import { schema } from "../src/config/schema.js";

const DOCS = path.join(import.meta.dirname, "../docs");

/** Columns of the printed help: what fits a page without a scroll bar. */
const WIDTH = 110;

const HEAD = `# Commands

What \`tandem <command> --help\` says of every command; \`npx tsx tools/generate-reference.ts\` writes this page.
`;

/** A command's help and that of its own commands. */
async function pages(words: readonly string[]): Promise<string[]> {
  const help = await helpOf(words, WIDTH);
  const prefix = ["tandem", ...words].join(" ");
  const listed = /^Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? "";
  // A wrapped description goes on deeper; a command's own form without a word after it is the command itself.
  const below = [...listed.matchAll(/^ {2}tandem ((?:[a-z-]+ )*[a-z-]+)/gm)].map((match) => (match[1] ?? "").split(" "));
  const isBelow = (names: readonly string[]): boolean => names.length === words.length + 1;
  const nested = words.length === 0 ? Object.keys(commands).map((name) => [name]) : below.filter(isBelow);
  const page = `${"#".repeat(Math.min(4, words.length + 1))} ${prefix}\n\n\`\`\`text\n${help.trim()}\n\`\`\`\n`;
  const others: string[] = [];
  for (const names of nested) others.push(...(await pages(names)));
  return [...(words.length === 0 ? [] : [page]), ...others];
}

const options = (await resolveConfig(path.join(DOCS, "commands.md"))) ?? {};
const tidy = (text: string): Promise<string> => format(text, { ...options, parser: "markdown" });
const files = {
  "config.md": await tidy(renderReference(schema)),
  "commands.md": await tidy([HEAD, ...(await pages([]))].join("\n")),
};
for (const [name, text] of Object.entries(files)) {
  const file = path.join(DOCS, name);
  if (!process.argv.includes("--check")) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text) {
    console.error(`docs/${name} isn't what the program says; run: npx tsx tools/generate-reference.ts`);
    process.exitCode = 1;
  }
}
