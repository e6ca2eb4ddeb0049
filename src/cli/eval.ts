/**
 * `tandem eval`: scores a finished run again, on its own questions or on others. It trains nothing and changes nothing of the run but two things beside it: `eval-cache/` and the report's folder. The trap: only
 * keys that evaluation reads may be set; the others were settled by training and are refused.
 */
import path from "node:path";
import type { CommandModule } from "yargs";
import { requireOneProcess } from "../config/launch-environment.js";
import { jobDisplay } from "./job-display.js";

interface EvalArguments {
  run: string;
  overrides: string[];
  output: string | undefined;
  json: boolean;
  quiet: boolean;
}

/** What may be set: how is scored, not what was trained. */
const OPEN_KEYS = ["eval", "generation", "prompt.passages", "index", "device", "threads", "seed"];

export const command: CommandModule<object, EvalArguments> = {
  command: "eval <run> [overrides..]",
  describe: "score a finished run on its own or other questions and passages",
  builder: (yargs) =>
    yargs
      .positional("run", { type: "string", demandOption: true, describe: "a run directory, or latest: the newest finished one in runs/" })
      .positional("overrides", {
        type: "string",
        array: true,
        default: [] as string[],
        describe: `key=value over the run's config: ${OPEN_KEYS.map((key) => `${key}…`).join(", ")}`,
      })
      .option("output", { type: "string", requiresArg: true, describe: "where the report goes; else <run>/eval-<hash>/" })
      .option("json", { type: "boolean", default: false, describe: "print the report as JSON" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 eval runs/<run>", "the run's own test questions again")
      .example("$0 eval runs/<run> eval.questions=my.jsonl", "other questions about the run's passages")
      .example(
        "$0 eval latest eval.questions=my.jsonl eval.passages=passages.jsonl",
        "other passages too: {id, title, text} a line, indexed once",
      )
      .example("$0 eval latest eval.split=valid 'eval.rows=[trained-pair]' --json | jq .rows[0].em", "one figure")
      .example("$0 eval latest generation.strategy=beam generation.beams=4", "beam search instead of the run's own decoding")
      .epilogue(
        "Questions are JSON lines {id, question, answers, passage_ids}, or question<TAB>answer lines, which have no gold passages and so no recall.",
      ),
  handler: async (given) => {
    requireOneProcess(process.env);
    const { findTrainedRun } = await import("../job/run/find-run.js");
    const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
    const run = findTrainedRun(given.run, given.overrides);
    refuseSettledKeys(run.sources, OPEN_KEYS);
    const display = jobDisplay({ quiet: given.quiet });
    try {
      const { evaluateTrained } = await import("../job/report/evaluate-trained.js");
      const output = given.output === undefined ? {} : { output: path.normalize(given.output) };
      const { made, text, folder } = await evaluateTrained(run, { ...output, report: display.report });
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(made.report, null, 2)}\n` : `${text}\nwritten to ${folder}\n`);
    } finally {
      display.finish();
    }
  },
};
