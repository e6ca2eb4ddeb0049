/**
 * `tandem runs test`: whether the runs of one setting answer the test questions otherwise than those of another, by a paired permutation test clustered by document. It trains and answers nothing; it reads `validation/final.jsonl`. The
 * trap: several tests of nothing give a small p sooner or later; the p-values aren't corrected for their number.
 */
import type { CommandModule } from "yargs";
import { namedRun } from "./named-run.js";

interface TestArguments {
  runs: string[];
  against: string[];
  metric: string[] | undefined;
  samples: number;
  json: boolean;
}

export const test: CommandModule<object, TestArguments> = {
  command: "test <runs..>",
  describe: "a paired test of some runs against others, question by question",
  builder: (yargs) =>
    yargs
      .positional("runs", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "runs of one setting, one a seed; or a .jsonl of another system's",
      })
      .option("against", { type: "string", array: true, demandOption: true, requiresArg: true, describe: "runs of the other setting" })
      .option("metric", { type: "string", array: true, requiresArg: true, describe: "only these: em, f1, recall@1 …" })
      .option("samples", { type: "number", default: 10_000, requiresArg: true, describe: "resamples of the interval, and permutations" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .example("$0 runs test runs/<run> --against runs/<other>", "one run against another")
      .example("$0 runs test runs/*joint* --against runs/*turn* --metric recall@1", "the seeds of one setting against those of another")
      .epilogue("A question's value is its mean over a setting's runs. Intervals are 95 % and clustered by document, as the test is."),
  handler: async ({ runs, against, metric, samples, json }) => {
    const { UserError } = await import("../errors.js");
    if (!Number.isSafeInteger(samples) || samples < 100)
      throw new UserError({
        where: "--samples",
        what: "is out of range",
        expected: "a whole number of at least 100",
        got: String(samples),
      });
    const { readAnswered, readOthersAnswers, testRuns } = await import("../evaluation/test-runs.js");
    const { testText } = await import("./runs-text.js");
    const read = (names: readonly string[]) =>
      Promise.all(
        names.map(async (name) => (name.endsWith(".jsonl") ? readOthersAnswers(name) : readAnswered((await namedRun(name)).path))),
      );
    const tested = testRuns(await read(runs), await read(against), { samples, ...(metric === undefined ? {} : { metrics: metric }) });
    process.stdout.write(json ? `${JSON.stringify(tested, null, 2)}\n` : testText(tested));
  },
};
