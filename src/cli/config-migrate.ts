/**
 * `tandem config migrate`: CoZyRAG's config.yaml goes in, ours comes out on stdout, with a reason for every change. It writes no file. The trap: the shell makes the target before the command runs, so
 * migrating a file onto itself empties it.
 */
import type { CommandModule } from "yargs";
import { migrateFile } from "../config/migrate.js";
import { UserError } from "../errors.js";

/** More are a slip of the keyboard, and epochs of them no count of steps. */
const MOST_QUESTIONS = 1_000_000_000;

interface MigrateArguments {
  file: string;
  questions: number | undefined;
}

export const migrate: CommandModule<object, MigrateArguments> = {
  command: "migrate <file>",
  describe: "CoZyRAG's config.yaml as one of ours, each change with its reason",
  builder: (yargs) =>
    yargs
      .positional("file", { type: "string", demandOption: true, describe: "CoZyRAG's config.yaml" })
      .option("questions", {
        type: "number",
        requiresArg: true,
        describe: "how many training questions there are, to make steps of epochs; else the lines of qa_path are counted, if it is there",
      })
      .example("$0 config migrate config/config.yaml > mine/experiment/old.yaml", "then: tandem config check mine/experiment/old.yaml"),
  handler: ({ file, questions }) => {
    if (questions !== undefined && !(Number.isInteger(questions) && questions > 0 && questions <= MOST_QUESTIONS))
      throw new UserError({
        where: "--questions",
        what: "isn't a count",
        expected: `a whole number from 1 to ${MOST_QUESTIONS}`,
        got: String(questions),
      });
    const { text, unknown } = migrateFile(file, questions);
    process.stdout.write(text);
    for (const key of unknown) process.stderr.write(`warning: unknown key ${key}, left out\n`);
  },
};
