/**
 * `tandem eval`: scores a finished run again, on its own questions or on others. It trains nothing and changes nothing of the run but two things beside it: `eval-cache/` and the report's folder. The trap: only
 * keys that evaluation reads may be set; the others were settled by training and are refused.
 */
import path from "node:path";
import type { CommandModule } from "yargs";
import { EXIT } from "../job/exit-codes.js";
import { aloneOrInTeam } from "./alone-or-in-team.js";
import { evaluationText, OPEN_KEYS, outputOf, scoredRun, type EvalArguments } from "./eval-run.js";
import { jobDisplay } from "./job-display.js";
import type { TeamProgram } from "./program-in-team.js";

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
      .example("$0 eval latest eval.split=valid 'eval.rows=[trained-pair]' --json | jq '.rows[0].em'", "one figure")
      .example("$0 eval latest generation.strategy=beam generation.beams=4", "beam search instead of the run's own decoding")
      .epilogue(
        "Questions are JSON lines {id, question, answers, passage_ids}, or question<TAB>answer lines, which have no gold passages and so no recall.",
      ),
  handler: (given) =>
    aloneOrInTeam(
      () => evaluateAlone(given),
      () => evaluationInTeam(given),
    ),
};

/** The exit code. */
async function evaluateAlone(given: EvalArguments): Promise<number> {
  const run = await scoredRun(given);
  const display = jobDisplay({ quiet: given.quiet });
  try {
    const { evaluateTrained } = await import("../job/report/evaluate-trained.js");
    const evaluation = await evaluateTrained(run, { ...outputOf(given), report: display.report });
    display.finish();
    process.stdout.write(evaluationText(evaluation, given));
    return EXIT.finished;
  } finally {
    display.finish();
  }
}

async function evaluationInTeam(given: EvalArguments): Promise<TeamProgram> {
  const { places, config } = await scoredRun(given);
  const { renderYaml } = await import("../config/render.js");
  return {
    name: "eval",
    // What is the latest now may not be when the worker looks.
    order: { given: { ...given, run: places.path } },
    asked: { run: path.resolve(places.path), config: renderYaml(config), output: given.output ?? null },
    goOn: "run the same command again",
    stopped: "stopped; nothing was scored\n",
    quiet: given.quiet,
  };
}
