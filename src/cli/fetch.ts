/**
 * `tandem fetch`: models from the hub into its cache, so that training finds them on machines without a network. It fetches what training would fetch by itself. The trap: the cache is the one of this environment's
 * HF_HOME or HF_HUB_CACHE; a job must see the same folder.
 */
import type { CommandModule } from "yargs";
import { hubSettings } from "../config/hub-settings.js";
import { hubName, hubNameText } from "../config/model-name.js";
import { UserError } from "../errors.js";
import type { FetchedModel } from "../job/models/hub-model.js";
import { jobDisplay } from "./job-display.js";

interface FetchArguments {
  models: string[];
  json: boolean;
  quiet: boolean;
}

export const command: CommandModule<object, FetchArguments> = {
  command: "fetch <models..>",
  describe: "fetch models from the hub into its cache, for machines without a network",
  builder: (yargs) =>
    yargs
      .positional("models", {
        type: "string",
        array: true,
        demandOption: true,
        describe: "names on the hub, with @revision for a branch, a tag or a commit",
      })
      .option("json", { type: "boolean", default: false, describe: "print [{folder, name, revision, commit, from, fetched}]" })
      .option("quiet", { type: "boolean", default: false, describe: "no progress" })
      .example("$0 fetch sentence-transformers/all-MiniLM-L6-v2 distilgpt2", "on the login node, before the job")
      .example("$0 fetch distilgpt2@main --json | jq -r '.[0].commit'", "the commit that was fetched")
      .epilogue(
        "Only what Tandem reads is fetched: config, tokenizer, safetensors, sentence-transformers' settings. Files go where Python's huggingface_hub keeps them (HF_HOME, HF_HUB_CACHE); HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean the same. A download that was cut goes on where it stopped.",
      ),
  handler: async ({ models, json, quiet }) => {
    const wanted = models.map(named);
    const hub = hubSettings();
    const { fetchModel } = await import("../job/models/hub-model.js");
    const display = jobDisplay({ quiet });
    try {
      const found: FetchedModel[] = [];
      for (const model of wanted) found.push(await fetchModel(model, { hub, report: display.report }));
      display.finish();
      process.stdout.write(json ? `${JSON.stringify(found, null, 2)}\n` : `${found.map(line).join("\n")}\n`);
    } finally {
      display.finish();
    }
  },
};

function line({ folder, name, revision, commit, fetched }: FetchedModel): string {
  return `${hubNameText({ name, revision })}: commit ${commit}, ${fetched === 0 ? "nothing to fetch" : `${fetched} bytes fetched`}\n  ${folder}`;
}

function named(text: string): ReturnType<typeof hubName> & object {
  const wanted = hubName(text);
  if (wanted !== undefined) return wanted;
  throw new UserError({
    where: "command line",
    what: `'${text}' is not the name of a model on the hub`,
    expected: "name, org/name or org/name@revision",
    remedy: "see tandem fetch --help",
  });
}
