/**
 * `tandem config plan`: what a run of these words would do, entry by entry, with an estimate of its time. It trains nothing that lasts. The trap: the corpus is prepared as training would prepare it, which for a large
 * one takes as long as there.
 */
import type { CommandModule } from "yargs";
import type { PlannedEntry } from "../job/plan/plan-entries.js";
import type { RunPlan } from "../job/plan/plan-run.js";
import { jobDisplay } from "./job-display.js";
import { durationText } from "./progress.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface PlanArguments extends OverrideArguments {
  json: boolean;
  measure: boolean;
  quiet: boolean;
}

export const plan: CommandModule<object, PlanArguments> = {
  command: "plan [overrides..]",
  describe: "what a run would do in which order, and about how long",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .option("measure", {
        type: "boolean",
        default: true,
        describe: "take a few steps of each kind of phase for the estimate; --no-measure: none",
      })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 config plan experiment=quickstart", "the quickstart's phases")
      .example("$0 config plan data=quickstart train=atlas --no-measure", "another schedule, without the time")
      .epilogue("Corpus and first weights are made in a temporary folder, as training would make them, and removed."),
  handler: async (given) => {
    const { config } = configOf(given);
    const display = jobDisplay({ quiet: given.quiet });
    try {
      const { planRun } = await import("../job/plan/plan-run.js");
      const made = await planRun(config, display.report, given.measure);
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(made, null, 2)}\n` : planText(made));
    } finally {
      display.finish();
    }
  },
};

const HEADS = [
  "entry",
  "phase",
  "contexts",
  "steps",
  "condition",
  "epochs",
  "examples",
  "rate",
  "validations",
  "checkpoints",
  "about",
  "with",
];

function planText({ entries, seconds, left_out: leftOut }: RunPlan): string {
  const rows = [HEADS, ...entries.map(cells)];
  const widths = HEADS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const total = seconds === null ? [] : [`About ${durationText(seconds)} in these phases.`];
  return `${[...lines, "", ...total, "Not in it:", ...leftOut.map((line) => `  ${line}`)].join("\n")}\n`;
}

function cells(entry: PlannedEntry): string[] {
  const { first_rate: first, last_rate: last } = entry;
  const conditions = [
    ...(entry.when === null ? [] : [`when ${entry.when}`]),
    ...(entry.until === null ? [] : [`until ${entry.until}`]),
    ...(entry.minutes === null ? [] : [`${entry.minutes} min at most`]),
  ];
  return [
    String(entry.entry),
    entry.phase,
    entry.contexts ?? "–",
    entry.steps === null ? "–" : String(entry.steps),
    conditions.join(", ") || "–",
    entry.epochs === null ? "–" : entry.epochs.toFixed(2),
    entry.examples === null ? "–" : String(entry.examples),
    first === null ? "–" : `${first.toExponential(1)} … ${last === null ? "?" : last.toExponential(1)}`,
    entry.validations === null ? "–" : String(entry.validations),
    entry.checkpoints === null ? "–" : String(entry.checkpoints),
    entry.seconds === null ? "–" : entry.seconds < 10 ? `${entry.seconds.toFixed(1)} s` : durationText(entry.seconds),
    Object.entries(entry.with)
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .join(" ") || "–",
  ];
}
