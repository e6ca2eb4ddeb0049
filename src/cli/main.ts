/**
 * The command's front door: one table of commands, each loaded only when it is asked for, so that `tandem --help` is quick. It parses and hands
 * over; what a command does is in its own file. The trap: nothing heavy may be imported here, not even for a type's sake at run time.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import yargs, { type Argv, type CommandModule } from "yargs";
import { didYouMean, nearestNames } from "../config/nearest.js";
import { packageRoot } from "../config/search-path.js";
import { UserError } from "../errors.js";
import { runToExit } from "./exit.js";
import { launchWords } from "./launch-words.js";

/** A command file exports `command`, a yargs CommandModule; its options are its own, so the table can't know their type. */
type AnyCommand = object;

interface Entry {
  /** What `tandem --help` says; a test holds it equal to the command's own. */
  readonly describe: string;
  readonly load: () => Promise<{ readonly command: AnyCommand }>;
}

/** Every command: a new one is a file `src/cli/<name>.ts` and a line here. */
export const commands: Readonly<Record<string, Entry>> = {
  config: { describe: "show, check, plan or migrate a configuration, or explain its keys", load: () => import("./config.js") },
  init: { describe: "write a config for your own corpus and questions", load: () => import("./init.js") },
  train: {
    describe: "train a retriever and a generator together, evaluate them, write the report",
    load: () => import("./train.js"),
  },
  plan: {
    describe: "what a run would need of memory, disk and hours, and which limit it hits first",
    load: () => import("./plan.js"),
  },
  launch: { describe: "start another command as several processes of this machine", load: () => import("./launch.js") },
  corpus: {
    describe: "build a passage store alone, check question files and what they share, show passages",
    load: () => import("./corpus.js"),
  },
  index: { describe: "build, verify or rebuild the index of a retriever over a corpus", load: () => import("./index.js") },
  search: { describe: "the passages that a run's retriever finds, with their scores", load: () => import("./search.js") },
  ask: { describe: "ask a finished run: answer, passages, scores, titles", load: () => import("./ask.js") },
  mine: { describe: "hard negatives for your questions, as a file that other trainers read", load: () => import("./mine.js") },
  eval: { describe: "score a finished run on its own or other questions and passages", load: () => import("./eval.js") },
  fetch: { describe: "fetch models from the hub into its cache, for machines without a network", load: () => import("./fetch.js") },
  runs: { describe: "list, show, compare and test runs, send them to an MLflow server", load: () => import("./runs.js") },
  audit: { describe: "does every loss term reach every parameter that it should?", load: () => import("./audit.js") },
  completion: { describe: "completion of commands, options, keys and values for your shell", load: () => import("./completion.js") },
  doctor: { describe: "what this machine has for Tandem, and what each lack costs", load: () => import("./doctor.js") },
};

/** The hidden first word with which a shell asks for completions; see completion.ts. */
const COMPLETE = "__complete";

/** Parses the words after `tandem`, runs the command and sets the process's exit code. */
export async function main(typed: readonly string[]): Promise<void> {
  if (typed[0] === COMPLETE) {
    await printCompletions(typed.slice(1));
    return;
  }
  const words = launchWords(typed);
  const [name] = words.filter((word) => !word.startsWith("-"));
  const isKnown = name !== undefined && Object.hasOwn(commands, name);
  await runToExit(
    () => (isKnown ? `tandem ${name}` : "tandem"),
    async () => {
      if (name !== undefined && !isKnown) throw unknownCommand(name);
      const loaded = name === undefined ? undefined : await commands[name]?.load();
      if (words.length === 0) await parserOf(undefined).parseAsync(["--help"]);
      else await parse(words, loaded?.command);
    },
  );
}

/** A candidate a line, its description behind a tab. Whatever goes wrong, a half-typed line gets no message: there is just nothing to offer. */
async function printCompletions(typed: readonly string[]): Promise<void> {
  try {
    const { completeWords } = await import("./complete-words.js");
    const candidates = await completeWords(typed, { names: commands, help: (before) => helpOf(before, COMPLETION_WIDTH) });
    process.stdout.write(candidates.map(({ value, describe }) => `${value}${describe === "" ? "" : `\t${describe}`}\n`).join(""));
  } catch {
    process.exitCode = 0;
  }
}

/** The help of the command that the words lead to, `width` columns wide. */
export async function helpOf(words: readonly string[], width: number): Promise<string> {
  const name = words.find((word) => !word.startsWith("-")) ?? "";
  const loaded = await commands[name]?.load();
  return helpText(words, loaded?.command, width);
}

/** Wide enough that the help has an option a line. */
const COMPLETION_WIDTH = 300;

/** The parser with the one command that was asked for, or with the table for `tandem --help`. */
function parserOf(command: AnyCommand | undefined, width = Math.min(140, process.stdout.columns || 100)): Argv {
  const parser = yargs()
    .scriptName("tandem")
    .locale("en")
    .strict()
    .wrap(width)
    .parserConfiguration({ "parse-positional-numbers": false, "dot-notation": false })
    .version(version())
    .alias({ help: "h" })
    .showHelpOnFail(false);
  if (command !== undefined) return parser.command(command as CommandModule);
  for (const [name, { describe }] of Object.entries(commands)) parser.command(name, describe);
  return parser
    .usage("$0 <command> [options] [key=value …]\n\nTrains a retriever and a generator together.")
    .example("$0 doctor", "what this machine has")
    .example("$0 config show experiment=quickstart", "what a run would do, key by key")
    .example("$0 train experiment=quickstart", "train on the corpus that comes with Tandem")
    .example('$0 ask runs/<run> "Who designed Hirpum?"', "ask a finished run")
    .epilogue("Every command explains itself: tandem <command> --help. Settings are key=value words: tandem config schema lists them.");
}

function version(): string {
  const description = JSON.parse(readFileSync(path.join(packageRoot(), "package.json"), "utf8")) as { version: string };
  return description.version;
}

/** Thrown by a command's handler in place of its work, which begins when the parser is out of the way. */
class Parsed extends Error {
  constructor(readonly work: () => unknown) {
    super("the words are parsed");
  }
}

async function parse(words: readonly string[], command: AnyCommand | undefined): Promise<void> {
  let usage: string | undefined;
  const parser = parserOf(command === undefined ? undefined : parsedOnly(command)).fail((message, error) => {
    usage = message;
    // yargs passes what a handler threw as the error and its own complaints as the message, whatever the types say.
    throw (error as Error | undefined) ?? new Error(message);
  });
  try {
    await parser.parseAsync([...words]);
  } catch (error) {
    if (error instanceof Parsed) {
      await error.work();
      return;
    }
    if (typeof usage !== "string" || !(error instanceof Error) || error.message !== usage) throw error;
    throw usageError(usage, words, await helpText(words, command));
  }
}

/** The command without its work. After a handler yargs draws the whole help, whether anybody wants it or not: 50 ms before the work could go on. Commands below a command keep theirs. */
function parsedOnly(command: AnyCommand): AnyCommand {
  const { handler, ...rest } = command as CommandModule;
  return {
    ...rest,
    handler: (given: Parameters<typeof handler>[0]) => {
      throw new Parsed(() => handler(given));
    },
  };
}

/** The help of the command that the words lead to. */
function helpText(words: readonly string[], command: AnyCommand | undefined, width?: number): Promise<string> {
  const names = words.filter((word) => /^[a-z-]+$/.test(word) && !word.startsWith("-"));
  return new Promise((resolve) => {
    void parserOf(command, width).parse([...names, "--help"], {}, (_error, _argv, output) => {
      resolve(output);
    });
  });
}

/** yargs' complaint as one line, with the nearest option or sub-command that the help knows. */
function usageError(message: string, words: readonly string[], help: string): UserError {
  // The help's first line names the command without its arguments.
  const see = `see tandem${/^tandem((?: [a-z-]+)*)/.exec(help.trim())?.[1] ?? ""} --help`;
  const bare = /^Not enough arguments following: (\S+)/.exec(message)?.[1];
  if (bare !== undefined)
    return new UserError({ where: "command line", what: `${bare.length === 1 ? "-" : "--"}${bare} needs a value`, remedy: see });
  if (message.startsWith("Not enough non-option arguments"))
    return new UserError({ where: "command line", what: "words are missing", expected: help.trim().split("\n")[0] ?? "", remedy: see });
  const [, option, given, choices] = /^Invalid values:\s+Argument: (\S+), Given: (.+), Choices: (.+)$/.exec(message) ?? [];
  if (option !== undefined)
    return new UserError({
      where: "command line",
      what: `${option} can't be ${given ?? ""}`,
      expected: (choices ?? "").replaceAll('"', ""),
      remedy: see,
    });
  const unknown = /^Unknown (?:argument|command)s?: ([^,]+)/.exec(message)?.[1];
  if (unknown === undefined) return new UserError({ where: "command line", what: message, remedy: see });
  const isFlag = words.some((word) => new RegExp(`^--?${escaped(unknown)}(=|$)`).test(word));
  const pattern = isFlag ? /^\s+(?:-\w, )?--([a-z][\w-]*)/gm : /^\s+tandem [a-z]+ ([a-z]+)/gm;
  const names = [...new Set([...help.matchAll(pattern)].map((match) => match[1] ?? ""))];
  const near = nearestNames(unknown, names).map((name) => (isFlag ? `--${name}` : name));
  const what = isFlag ? `no option --${unknown}` : `'${unknown}' means nothing here`;
  return new UserError({
    where: "command line",
    what,
    remedy: didYouMean(near, see),
  });
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function unknownCommand(name: string): UserError {
  const names = Object.keys(commands);
  const isOverride = name.includes("=");
  return new UserError({
    where: "command line",
    what: isOverride ? `'${name}' stands where a command should` : `no command '${name}'`,
    expected: names.join(", "),
    remedy: didYouMean(nearestNames(name, names), "see tandem --help"),
  });
}
