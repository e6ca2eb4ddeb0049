/**
 * `tandem audit`: the gradient audit of a config, without training: does every loss term reach every parameter that it should? Training makes the same audit before its first step. The trap: models
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
      .option("json", { type: "boolean", default: false, describe: "print a JSON array, one row a pair of loss term and parameter" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 audit experiment=quickstart", "every term of the quickstart")
      .example("$0 audit experiment=quickstart train.penalties.ngram_repeat.weight=0.5", "with another weight")
      .example("$0 audit experiment=tiny --json | jq '.[] | select(.status != \"alive\")'", "the pairs that are exempt, and why")
      .epilogue("Exits 2 naming the first pair without a gradient, as training would refuse to start."),
  handler: async (given) => {
    const { config } = configOf(given);
    const display = jobDisplay({ quiet: given.quiet });
    try {
      const { auditConfig } = await import("../job/audit-config.js");
      const { auditTable } = await import("../training/gradient-audit.js");
      const rows = await auditConfig(config, display.report);
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(rows, null, 2)}\n` : `${auditTable(rows)}\n`);
    } finally {
      display.finish();
    }
  },
};
