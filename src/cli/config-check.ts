/**
 * `tandem config check`: composes and checks configurations without running anything, and names all faults that can be seen at once: what can't be composed hides the rest, a wrong value hides the
 * contradictions. The trap: what a `???` still needs is a fault too, so a file that leaves its paths to the command line is checked together with them.
 */
import path from "node:path";
import type { CommandModule } from "yargs";
import { isFile, optionsForFile } from "../config/config-file.js";
import { findFaults, type LoadOptions } from "../config/load-config.js";
import { UserError } from "../errors.js";
import { withOverrides, type OverrideArguments } from "./overrides.js";

interface CheckArguments extends OverrideArguments {
  json: boolean;
  partial: boolean;
}

interface Checked {
  readonly checked: string;
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

export const check: CommandModule<object, CheckArguments> = {
  command: "check [overrides..]",
  describe: "compose and check without running: files, or the words of a run",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("partial", { type: "boolean", default: false, describe: "let keys that must still be given (???) pass" })
      .option("json", { type: "boolean", default: false, describe: "print JSON: [{checked, faults, warnings}]" })
      .example("$0 config check conf/experiment/quickstart.yaml", "a file of a group, over all that it builds on")
      .example("$0 config check new.yaml data.root=corpus", "a file that stands alone, with changes")
      .example("$0 config check experiment=quickstart train.generator.lr=1e-3", "what tandem train would be given"),
  handler: (command) => {
    // An override may hold a path with an ending, so only a file that is there settles it.
    const isNamed = (word: string): boolean => isFile(word) || !(word.includes("=") || word.startsWith("~"));
    const files = command.overrides.filter(isNamed);
    const words = command.overrides.filter((word) => !isNamed(word));
    const needed = command.partial ? { needed: [] } : {};
    const folder = command.configDir === undefined ? {} : { configDir: command.configDir };
    const results = files.map((file) =>
      checked(file, () => {
        const own = optionsForFile(file);
        const options = { ...own, ...needed, overrides: [...(own.overrides ?? []), ...words] };
        return { options, doubts: unreadFolder(command.configDir, own) };
      }),
    );
    if (files.length === 0)
      results.push(checked(words.join(" ") || "config", () => ({ options: { ...folder, ...needed, overrides: words }, doubts: [] })));
    process.stdout.write(command.json ? `${JSON.stringify(results, null, 2)}\n` : results.map(asText).join(""));
    if (results.some(({ faults }) => faults.length > 0)) process.exitCode = 2;
  },
};

/** A file is composed from where it lies, whatever --config-dir says. */
function unreadFolder(given: string | undefined, own: LoadOptions): string[] {
  if (given === undefined || (own.configDir !== undefined && path.resolve(own.configDir) === path.resolve(given))) return [];
  const instead =
    own.configDir === undefined ? "the file stands alone" : `the file is composed from ${path.relative("", own.configDir) || "."}`;
  return [`--config-dir ${given} isn't read: ${instead}`];
}

function checked(name: string, prepare: () => { options: LoadOptions; doubts: readonly string[] }): Checked {
  try {
    const { options, doubts } = prepare();
    const { faults, warnings } = findFaults(options);
    return { checked: name, faults: faults.map((fault) => new UserError(fault).message), warnings: [...doubts, ...warnings] };
  } catch (error) {
    if (error instanceof UserError) return { checked: name, faults: [error.message], warnings: [] };
    throw error;
  }
}

function asText({ checked: name, faults, warnings }: Checked): string {
  const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
  const lines = [
    `${name}: ${faults.length === 0 ? "ok" : count}`,
    ...faults.map((fault) => `  ${fault}`),
    ...warnings.map((warning) => `  warning: ${warning}`),
  ];
  return `${lines.join("\n")}\n`;
}
