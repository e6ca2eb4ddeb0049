/**
 * What `tandem train` prints of a run: its messages while it goes on, and where everything is at its end. The trap: texts are results and go to stdout unless that is the report's; everything else goes to stderr.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { EXIT } from "../job/exit-codes.js";
import type { JobMessage } from "../job/reporter.js";
import type { RunDirectory } from "../tracking/run-directory.js";
import { jobDisplay } from "./job-display.js";
import type { TrainArguments } from "./run-to-train.js";

/** Shows the worker's messages until `finish`. */
export function shower(
  run: RunDirectory,
  { quiet, json }: TrainArguments,
): { readonly show: (message: JobMessage) => void; readonly finish: () => void } {
  const display = jobDisplay({ quiet });
  display.report({ type: "note", text: `run directory: ${run.path}` });
  const show = (message: JobMessage): void => {
    display.report(message);
    if (message.type === "text" && !json) process.stdout.write(`\n${message.text}\n`);
  };
  return { show, finish: () => display.finish() };
}

/** How the run ended, for people. */
export function showEnd(run: RunDirectory, code: number, command: TrainArguments): void {
  if (code === EXIT.finished) showResults(run, command);
  else if (code === EXIT.requeue) process.stderr.write(`saved and stopped; go on with: tandem train --resume ${run.path}\n`);
}

function showResults(run: RunDirectory, { json }: TrainArguments): void {
  if (json) {
    process.stdout.write(readFileSync(run.reportJson, "utf8"));
    return;
  }
  const folder = path.relative(process.cwd(), run.path) || ".";
  process.stdout.write(
    [
      `Everything is in ${folder}: report.html, report.txt, report.json, validation/, retriever/ and generator/ (Hugging Face folders), metrics.jsonl.`,
      "What to try next:",
      `  tandem ask ${folder} "…"           ask the trained pair`,
      `  tandem search ${folder} "…"        see what it finds`,
      `  tandem eval ${folder} eval.questions=…   score it on questions of your own`,
      "",
    ].join("\n"),
  );
}
