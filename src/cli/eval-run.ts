/** What `tandem eval` is asked to score and what it prints of it, in one process or as one of several. It scores nothing. */
import path from "node:path";
import type { EvaluateTrainedOptions, TrainedEvaluation } from "../job/report/evaluate-trained.js";
import type { TrainedRun } from "../job/run/find-run.js";

export interface EvalArguments {
  run: string;
  overrides: string[];
  output: string | undefined;
  json: boolean;
  quiet: boolean;
}

/** What may be set: how is scored, not what was trained. */
export const OPEN_KEYS = ["eval", "generation", "prompt.passages", "index", "device", "threads", "seed"];

/** @throws UserError when there is no such run, or a key is settled */
export async function scoredRun({ run: name, overrides }: EvalArguments): Promise<TrainedRun> {
  const { findTrainedRun } = await import("../job/run/find-run.js");
  const { refuseSettledKeys } = await import("../job/run/settled-keys.js");
  const run = findTrainedRun(name, overrides);
  refuseSettledKeys(run.sources, OPEN_KEYS);
  return run;
}

export function outputOf({ output }: EvalArguments): Pick<EvaluateTrainedOptions, "output"> {
  return output === undefined ? {} : { output: path.normalize(output) };
}

export function evaluationText({ made, text, folder }: TrainedEvaluation, { json }: Pick<EvalArguments, "json">): string {
  return json ? `${JSON.stringify(made.report, null, 2)}\n` : `${text}\nwritten to ${folder}\n`;
}
