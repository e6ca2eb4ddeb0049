/**
 * The folder that a model is started from: the folder that the config names, or the hub's model of that name. Which commit that was stands in the run's `models.json` before anything is fetched, and a run that
 * goes on takes that commit, whatever the branch has become. Not a loader: what is in the folder is read elsewhere.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { hubSettings, type HubSettings } from "../../config/hub-settings.js";
import { hubName } from "../../config/model-name.js";
import { UserError } from "../../errors.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { COMMIT } from "../../storage/hub-cache.js";
import { expectObject, readJson } from "../../storage/json-file.js";
import type { ModelRole } from "./hub-files.js";
import type { Report } from "../reporter.js";

export interface PretrainedOptions {
  readonly report: Report;
  /** The run's note of commits. Without one nothing is pinned. */
  readonly pins?: string;
  /** What named the model, where that isn't `<role>.path`: `--retriever`. */
  readonly setting?: string;
  /** Stands in for the environment's settings in tests. */
  readonly hub?: HubSettings;
}

interface Pin {
  readonly name: string;
  readonly revision: string;
  readonly commit: string;
}

/** A folder to read, and what to call it. */
export interface PretrainedFolder {
  readonly folder: string;
  readonly text: string;
}

/** Where a run notes the commits of its models. */
export function pinsFile(run: string): string {
  return path.join(run, "models.json");
}

/**
 * The folder of `retriever.path` or `generator.path`.
 *
 * @param value an absolute path, or a name of the hub, as the config has it
 * @throws UserError when the hub's model can't be had
 */
export async function pretrainedFolder(role: ModelRole, value: string, options: PretrainedOptions): Promise<PretrainedFolder> {
  const { report, pins, setting = `${role}.path` } = options;
  const pin = pins === undefined ? undefined : readPins(pins)[role];
  const named = path.isAbsolute(value) ? undefined : hubName(value);
  const wanted = pin === undefined ? named : { name: pin.name, revision: pin.commit };
  if (wanted === undefined) return { folder: existing(setting, role, value), text: `the folder ${value}` };
  const note = (commit: string): void => {
    if (pins !== undefined && pin === undefined && named !== undefined)
      writeFileAtomic(pins, `${JSON.stringify({ ...readPins(pins), [role]: { ...named, commit } }, null, 2)}\n`);
  };
  // The HTTP client costs a tenth of a second, which a run that needs no hub doesn't pay.
  const { fetchModel } = await import("./hub-model.js");
  const found = await fetchModel(wanted, { hub: options.hub ?? hubSettings(), report, role, setting, onCommit: note });
  // A whole commit that the cache has is taken without the hub, and so without its answer.
  note(found.commit);
  return { folder: found.folder, text: `${found.name} of the hub, commit ${found.commit}` };
}

function existing(setting: string, role: ModelRole, folder: string): string {
  if (existsSync(folder)) return folder;
  throw new UserError({
    where: setting,
    what: `there is no folder ${folder}`,
    remedy: `check the path, or name a model of the hub, such as ${role === "retriever" ? "sentence-transformers/all-MiniLM-L6-v2" : "distilgpt2"}`,
  });
}

function readPins(file: string): Partial<Record<ModelRole, Pin>> {
  if (!existsSync(file)) return {};
  const pins = expectObject(readJson(file), file);
  for (const [role, value] of Object.entries(pins)) {
    const { name, commit } = expectObject(value, `${file}, ${role}`);
    if (typeof name === "string" && hubName(name) !== undefined && typeof commit === "string" && COMMIT.test(commit)) continue;
    throw new UserError({
      where: `${file}, ${role}`,
      what: "is not what a run notes",
      expected: "name and commit",
      got: JSON.stringify(value),
      remedy: "start a new run",
    });
  }
  return pins;
}
