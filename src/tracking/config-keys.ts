/**
 * The config that a run was made with, as dotted keys and texts: what becomes parameters at a server and what two runs are compared by. It checks nothing against the schema, so that runs of older versions can be
 * read. The trap: an empty section and an empty list are values too, or a key would vanish between two runs.
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { UserError } from "../errors.js";
import { aboutFile } from "../storage/file-fault.js";
import { expectObject } from "../storage/json-file.js";
import type { RunDirectory } from "./run-directory.js";

/** Every key with its value: texts as they are, everything else as JSON. @throws UserError when config.yaml can't be read */
export function configKeys(run: RunDirectory): Map<string, string> {
  const text = aboutFile(run.config, () => readFileSync(run.config, "utf8"));
  let tree: unknown;
  try {
    tree = parse(text);
  } catch (error) {
    throw new UserError({ where: run.config, what: "is not YAML", remedy: "put the file back as the run wrote it" }, { cause: error });
  }
  return new Map(flattened(expectObject(tree, run.config), ""));
}

function flattened(tree: unknown, prefix: string): [string, string][] {
  const isSection = typeof tree === "object" && tree !== null && !Array.isArray(tree) && Object.keys(tree).length > 0;
  if (isSection) return Object.entries(tree).flatMap(([key, value]) => flattened(value, prefix === "" ? key : `${prefix}.${key}`));
  return prefix === "" ? [] : [[prefix, typeof tree === "string" ? tree : JSON.stringify(tree)]];
}
