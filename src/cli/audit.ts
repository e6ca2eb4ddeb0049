/**
 * `tandem audit`: the gradient audit of a config, without training: does every loss term reach every parameter that it should, and has a step in parts the whole batch's gradient? Training makes the first of them before its first step. The trap: models
 * and passages are made for it in a temporary folder that is gone afterwards, so nothing of it can be resumed.
 */
import type { CommandModule } from "yargs";
import { jobDisplay } from "./job-display.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface AuditArguments extends OverrideArguments {
  json: boolean;
  quiet: boolean;
}

export const command: CommandModule<object, AuditArguments> = {
  command: "audit [overrides..]",
  describe: "does every loss term reach every parameter that it should?",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("json", {
        type: "boolean",
        default: false,
        describe: "print JSON: a row a pair of loss term and parameter, and one a phase for each way to compute its step",
      })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 audit experiment=quickstart", "every term of the quickstart")
      .example("$0 audit experiment=quickstart train.penalties.ngram_repeat.weight=0.5", "with another weight")
      .example("$0 audit experiment=tiny --json | jq '.pairs[] | select(.status != \"alive\")'", "the pairs that are exempt, and why")
      .epilogue(
        "Each entry of the schedule is audited with its own contexts and settings; entries that are alike share a line, which has their numbers. Exits 2 naming the first pair without a gradient, as training would refuse to start, or a phase whose step in parts, or packed otherwise, has another gradient than the whole batch.",
      ),
  handler: async (given) => {
    const { config } = configOf(given);
    const display = jobDisplay({ quiet: given.quiet });
    try {
      const { auditConfig } = await import("../job/training/audit-config.js");
      const { auditTable } = await import("../training/gradient-audit.js");
      const { cutTable } = await import("../training/cut-audit.js");
      const audit = await auditConfig(config, display.report);
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(audit, null, 2)}\n` : `${auditTable(audit.pairs)}\n${cutTable(audit.cuts)}\n`);
    } finally {
      display.finish();
    }
  },
};
