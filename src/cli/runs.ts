/**
 * `tandem runs`: lists, shows and compares run directories, and sends them to an MLflow server. All but `sync` need no server and open no model. The trap: `latest` is the newest run here, whatever became of it;
 * to ask, search and eval it is the newest one that is trained.
 */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Argv, CommandModule } from "yargs";
import type { RunDirectory } from "../tracking/run-directory.js";
import type { RunSummary } from "../tracking/run-summary.js";
import { namedRun, ROOT } from "./named-run.js";
import { test } from "./runs-test.js";

interface ListArguments {
  folder: string;
  state: string | undefined;
  limit: number | undefined;
  json: boolean;
}

const STATES = ["running", "finished", "stopped", "failed", "killed", "unfinished", "unreadable"] as const;

const list: CommandModule<object, ListArguments> = {
  command: "list [folder]",
  describe: "every run with its state, times and key figures, the oldest first",
  builder: (yargs) =>
    yargs
      .positional("folder", { type: "string", default: ROOT, describe: "the folder that holds the runs" })
      .option("state", { choices: STATES, requiresArg: true, describe: "only these" })
      .option("limit", { type: "number", alias: "n", requiresArg: true, describe: "only so many, the newest" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .example("$0 runs list", "all runs in runs/")
      .example("$0 runs list --state killed", "what died without a word")
      .example("$0 runs list --json | jq 'max_by(.figures.em).run'", "the best one")
      .epilogue("Figures are the report's trained pair; of a run without a report, its last validation's."),
  handler: async ({ folder, state, limit, json }) => {
    const { UserError } = await import("../errors.js");
    if (limit !== undefined && !(Number.isInteger(limit) && limit > 0))
      throw new UserError({ where: "--limit", what: "is no number of runs", expected: "1 or more", got: String(limit) });
    const { runsIn, summariseRun } = await import("../tracking/run-summary.js");
    const { listText } = await import("./runs-text.js");
    const found = runsIn(folder).map(summariseRun);
    const wanted = found.filter((run) => state === undefined || run.state === state).slice(limit === undefined ? 0 : -limit);
    if (json) process.stdout.write(`${JSON.stringify(wanted, null, 2)}\n`);
    else if (wanted.length === 0) process.stderr.write(`no runs in ${folder}${state === undefined ? "" : ` that are ${state}`}\n`);
    else process.stdout.write(listText(wanted));
  },
};

const show: CommandModule<object, { run: string; json: boolean }> = {
  command: "show <run>",
  describe: "one run: what it was, how far it came, its validations and report",
  builder: (yargs) =>
    yargs
      .positional("run", { type: "string", demandOption: true, describe: "a run directory, or latest: the newest in runs/" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .example("$0 runs show latest", "the run that was started last")
      .example("$0 runs show runs/<run> --json | jq .validations", "how it went"),
  handler: async ({ run: name, json }) => {
    const run = await namedRun(name);
    const { lastRecord, reportRows, summariseRun, validations } = await import("../tracking/run-summary.js");
    const { factsText, validationText } = await import("./runs-text.js");
    const { readCursor } = await import("../tracking/tracking-cursor.js");
    const { expectObject, readJson } = await import("../storage/json-file.js");
    const { readOverrides } = await import("../tracking/run-directory.js");
    const summary = summariseRun(run);
    const environment = expectObject(readJson(run.environment), run.environment);
    const servers = readCursor(run.path).servers.map(
      ({ uri, experimentId, runId }) => `${uri}/#/experiments/${experimentId}/runs/${runId}`,
    );
    const shown = {
      ...summary,
      environment,
      servers,
      last: lastRecord(run) ?? null,
      validations: validations(run),
      report: reportRows(run) ?? null,
    };
    if (json) {
      process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
      return;
    }
    process.stdout.write(factsText(factsOf(run, summary, environment, servers, readOverrides(run))));
    if (shown.validations.length > 0) process.stdout.write(`\n${validationText(shown.validations)}`);
    if (existsSync(run.reportText)) process.stdout.write(`\n${readFileSync(run.reportText, "utf8")}`);
  },
};

const compare: CommandModule<object, { runs: string[]; json: boolean }> = {
  command: "compare <runs..>",
  describe: "runs side by side: config keys that differ, figures of their reports",
  builder: (yargs) =>
    yargs
      .positional("runs", { type: "string", array: true, demandOption: true, describe: "two or more run directories" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .example("$0 runs compare runs/<run> runs/<other>", "what was changed and what came of it")
      .example("$0 runs compare runs/*sweep* --json | jq .report", "the figures of many"),
  handler: async ({ runs: names, json }) => {
    const { UserError } = await import("../errors.js");
    if (names.length < 2)
      throw new UserError({
        where: "command line",
        what: "one run has nothing to be compared with",
        expected: "two or more run directories",
        got: names.join(" "),
        remedy: "tandem runs show shows one",
      });
    const runs = await Promise.all(names.map(namedRun));
    const { compareRuns } = await import("../tracking/compare-runs.js");
    const { compareText } = await import("./runs-text.js");
    const comparison = compareRuns(runs);
    process.stdout.write(json ? `${JSON.stringify(comparison, null, 2)}\n` : compareText(comparison));
  },
};

interface SyncArguments {
  runs: string[];
  uri: string | undefined;
  experiment: string | undefined;
  models: boolean | undefined;
  json: boolean;
}

const sync: CommandModule<object, SyncArguments> = {
  command: "sync <runs..>",
  describe: "send run directories to an MLflow server: what it lacks, nothing twice",
  builder: (yargs) =>
    yargs
      .positional("runs", { type: "string", array: true, demandOption: true, describe: "run directories, or latest" })
      .option("uri", { type: "string", requiresArg: true, describe: "the server; else the run's tracking.uri, else MLFLOW_TRACKING_URI" })
      .option("experiment", {
        type: "string",
        requiresArg: true,
        describe: "the experiment; else the run's, else MLFLOW_EXPERIMENT_NAME, else tandem",
      })
      .option("models", { type: "boolean", describe: "send retriever/ and generator/ too" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .example("$0 runs sync latest", "a run that trained without a server, or whose server was away")
      .example("$0 runs sync runs/* --uri http://localhost:5000", "all runs to another server")
      .epilogue(
        "User and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, a token from MLFLOW_TRACKING_TOKEN. A run that died without a word ends as KILLED; one that still trains stays RUNNING.",
      ),
  handler: async ({ runs: names, json, ...wanted }) => {
    const runs = await Promise.all(names.map(namedRun));
    const { syncTrained } = await import("../job/tracking/sync-trained.js");
    const say = (type: string, text: string): void => void process.stderr.write(type === "warning" ? `warning: ${text}\n` : `${text}\n`);
    const outcomes = [];
    for (const run of runs) {
      const outcome = await syncTrained(run, wanted, process.env, say);
      outcomes.push(outcome);
      const { address, status, points, files } = outcome;
      if (!json) process.stdout.write(`${path.basename(run.path)}: ${points} points and ${files} files sent, ${status}: ${address}\n`);
    }
    if (json) process.stdout.write(`${JSON.stringify(outcomes, null, 2)}\n`);
  },
};

export const command: CommandModule = {
  command: "runs",
  describe: "list, show, compare and test runs, send them to an MLflow server",
  builder: (yargs: Argv) =>
    yargs
      .command(list)
      .command(show)
      .command(compare)
      .command(test)
      .command(sync)
      .demandCommand(1, "say what to do: list, show, compare, test or sync")
      .example("$0 runs list", "every run in runs/")
      .example("$0 runs compare runs/<run> runs/<other>", "what differs")
      .example("$0 runs sync latest", "to an MLflow server"),
  handler: () => undefined,
};

function factsOf(
  run: RunDirectory,
  { name, state, reason, started, ended, step, phase, loss }: RunSummary,
  environment: Readonly<Record<string, unknown>>,
  servers: readonly string[],
  overrides: readonly string[],
): [string, string][] {
  const { git, versions } = environment;
  const of = (record: unknown, key: string): string => {
    const value: unknown = (record as Record<string, unknown> | null | undefined)?.[key];
    return typeof value === "string" ? value : "";
  };
  const patch = of(git, "changes");
  const revision = `${of(git, "revision") || "unknown"}${patch === "" ? "" : `, changed: ${patch}`}`;
  return [
    ["run", run.path],
    ["name", name],
    ["state", reason === undefined ? state : `${state}: ${reason}`],
    ["started", started ?? "unknown"],
    ["ended", ended ?? "–"],
    ["last step", step === null ? "none" : `${step}, ${phase ?? ""}, loss ${loss === null ? "–" : String(loss)}`],
    ["overrides", overrides.join("  ")],
    ["revision", revision],
    ["versions", ["tandem", "node", "host"].map((key) => `${key} ${of(versions, key) || "unknown"}`).join(", ")],
    ...servers.map((address): [string, string] => ["MLflow", address]),
  ];
}
