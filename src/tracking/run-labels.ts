/**
 * What a run is, as MLflow's parameters and tags: the resolved config key by key, and who ran which version where. All of it is read from the run directory, so that a later sync says the same as the run itself.
 * The trap: `tracking` itself is left out of the parameters; it says where the numbers go, not what was trained.
 */
import { userInfo } from "node:os";
import { hashFile } from "../storage/content-hash.js";
import { expectObject, readJson } from "../storage/json-file.js";
import { configKeys } from "./config-keys.js";
import type { KeyValue } from "./mlflow-client.js";
import { parameterValue, serverKey, tagValue } from "./mlflow-limits.js";
import type { RunDirectory } from "./run-directory.js";

/** The tag by which a run directory finds its MLflow run again. */
export const IDENTITY_TAG = "tandem.id";

const NO_PARAMETERS = /^(tracking|resume)(\.|$)/;

/** The id that no other run directory has; runs of older versions get one from their environment. */
export function runIdentity(run: RunDirectory): string {
  const { id } = expectObject(readJson(run.environment), run.environment);
  return typeof id === "string" && /^[0-9a-f-]{36}$/.test(id) ? id : hashFile(run.environment).slice(0, 32);
}

/** The config as parameters, and the names of those that had to be cut. @throws UserError when it can't be read */
export function runParameters(run: RunDirectory): { parameters: KeyValue[]; cut: string[] } {
  const cut: string[] = [];
  const parameters = [...configKeys(run)]
    .filter(([key]) => !NO_PARAMETERS.test(key))
    .map(([key, value]) => {
      const kept = parameterValue(value);
      if (kept.isCut) cut.push(key);
      return { key: serverKey(key), value: kept.value };
    });
  return { parameters, cut };
}

/** @param own the user's tags, which win */
export function runTags(run: RunDirectory, own: Readonly<Record<string, unknown>>): KeyValue[] {
  const { git, versions } = expectObject(readJson(run.environment), run.environment);
  const { revision, branch } = (git ?? {}) as Record<string, unknown>;
  const { tandem, host } = (versions ?? {}) as Record<string, unknown>;
  const tags = {
    "mlflow.source.type": "LOCAL",
    "mlflow.source.name": "tandem train",
    "mlflow.source.git.commit": revision,
    "mlflow.source.git.branch": branch,
    "mlflow.user": userName(),
    "tandem.version": tandem,
    "tandem.host": host,
    "tandem.run": run.path,
    ...own,
    [IDENTITY_TAG]: runIdentity(run),
  };
  return Object.entries(tags).flatMap(([key, value]) => {
    const text = typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
    return text === "" ? [] : [{ key: serverKey(key), value: tagValue(text) }];
  });
}

/** An account without a name, as in some containers, is no error. */
function userName(): string | undefined {
  try {
    return userInfo().username;
  } catch {
    return undefined;
  }
}
