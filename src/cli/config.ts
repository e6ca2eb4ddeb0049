/**
 * `tandem config show` prints the configuration that a run would have, `check` what is wrong with it, `plan` what would run and how long, `migrate` makes one of CoZyRAG's, and `schema` explains every key. All print, and only plan computes. The trap: show
 * prints paths as they were written, a run uses them from the current folder.
 */
import type { Argv, CommandModule } from "yargs";
import type { LoadedConfig } from "../config/load-config.js";
import { jsonSchema, renderSchema, renderWithSources, renderYaml } from "../config/render.js";
import { schema } from "../config/schema.js";
import { schemaBelow } from "../config/schema-keys.js";
import { check } from "./config-check.js";
import { migrate } from "./config-migrate.js";
import { plan } from "./config-plan.js";
import { configOf, type OverrideArguments, withOverrides } from "./overrides.js";

interface ShowArguments extends OverrideArguments {
  json: boolean;
  sources: boolean;
}

const show: CommandModule<object, ShowArguments> = {
  command: "show [overrides..]",
  describe: "the resolved configuration, every key of it",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("json", {
        type: "boolean",
        default: false,
        describe: "print JSON; with --sources {config, sources, choices, files, missing}",
      })
      .option("sources", { type: "boolean", default: false, describe: "say which file and line, or which override, set each key" })
      .example("$0 config show experiment=quickstart", "all settings of the quickstart")
      .example("$0 config show experiment=squad data.root=squad train.generator.lr=1e-3", "with changes")
      .example("$0 config show experiment=quickstart --sources | grep lr", "who set the learning rates")
      .example("$0 config show data=quickstart '~train.schedule'", "another choice in group data; the schema's own schedule")
      .epilogue(
        "Words: key=value sets a key, group=choice takes conf/<group>/<choice>.yaml, +key=value adds, ++key=value adds or sets, ~key goes back to the default. Values: 1e-4, true, null, text, 'quoted, text', [a, b], {a: 1}, ${another.key}, ${oc.env:NAME,default}. A key that must still be given is shown as ???.",
      ),
  handler: (command) => {
    const loaded = configOf(command, { needed: [] });
    process.stdout.write(command.json ? asJson(loaded, command.sources) : asYaml(loaded, command.sources));
  },
};

const schemaCommand: CommandModule<object, { key: string | undefined; json: boolean }> = {
  command: "schema [key]",
  describe: "every key: type, default, range and what it does",
  builder: (yargs) =>
    yargs
      .positional("key", { type: "string", describe: "a key or a section: only what stands below it" })
      .option("json", { type: "boolean", default: false, describe: "print a JSON Schema, for editors" })
      .example("$0 config schema", "all keys")
      .example("$0 config schema train.penalties", "the penalties")
      .example("$0 config schema --json > tandem.schema.json", "for an editor's YAML support"),
  handler: ({ key, json }) => {
    const shown = key === undefined ? schema : schemaBelow(schema, key);
    process.stdout.write(json ? `${JSON.stringify(jsonSchema(shown), null, 2)}\n` : `${renderSchema(shown)}\n`);
  },
};

export const command: CommandModule = {
  command: "config",
  describe: "show, check, plan or migrate a configuration, or explain its keys",
  builder: (yargs: Argv) =>
    yargs
      .command(show)
      .command(check)
      .command(plan)
      .command(migrate)
      .command(schemaCommand)
      .demandCommand(1, "say what to do: show, check, plan, migrate or schema")
      .example("$0 config show experiment=quickstart", "what a run would do")
      .example("$0 config check conf/experiment/quickstart.yaml", "what is wrong with a file")
      .example("$0 config schema", "what can be set"),
  handler: () => undefined,
};

function asYaml(loaded: LoadedConfig, withSources: boolean): string {
  const shown = withMissing(loaded);
  return withSources ? renderWithSources(shown, loaded.sources) : renderYaml(shown);
}

function asJson(loaded: LoadedConfig, withSources: boolean): string {
  const { sources, choices, files, missing } = loaded;
  const config = withMissing(loaded);
  return `${JSON.stringify(withSources ? { config, sources, choices, files, missing } : config, null, 2)}\n`;
}

/** The configuration with `???` where a key must still be given. */
function withMissing({ composed, missing }: LoadedConfig): unknown {
  const shown: unknown = structuredClone(composed);
  for (const key of missing) {
    const parts = key.split(".");
    const last = parts.pop() ?? "";
    const parent = parts.reduce<unknown>((node, part) => (node as Record<string, unknown>)[part], shown);
    (parent as Record<string, unknown>)[last] = "???";
  }
  return shown;
}
