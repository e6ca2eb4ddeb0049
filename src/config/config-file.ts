/**
 * A configuration file as the options that load it: a file of a group (`conf/experiment/squad.yaml`, or one below a folder of your own) is composed as `group=choice` would be, a root's `config.yaml` as
 * a run starts from it, any other stands alone over the schema's defaults, as a run's `config.yaml` does. The trap: groups are called data, train and model, as anybody's folders are, so a folder's name
 * alone makes no group of it.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import type { LoadOptions } from "./load-config.js";
import { schema } from "./schema.js";
import { packageRoot, isGroup } from "./search-path.js";
import { readYamlFile, type YamlFile } from "./yaml-file.js";

/** @throws UserError when there is no such file, it can't be read, or it has a defaults list and no group */
export function optionsForFile(file: string): LoadOptions {
  if (!isFile(file))
    throw new UserError({
      where: file,
      what: "no such file",
      expected: "a configuration file or key=value words",
      remedy: "mend the path",
    });
  const place = path.resolve(file);
  const folder = path.dirname(place);
  const { name } = path.parse(place);
  const yaml = readYamlFile(place);
  if (isOfGroup(place, yaml)) return { configDir: path.dirname(folder), overrides: [`${path.basename(folder)}=${name}`] };
  if (yaml.defaults === undefined) return { base: place, standsAs: isRuns(place) ? "run" : "own-file" };
  if (path.basename(place) === "config.yaml") return { configDir: folder };
  throw new UserError({
    where: yaml.shown,
    what: "has a defaults list, but stands in no group's folder",
    expected: "<folder>/experiment/<name>.yaml",
    remedy: "move it there, or check it as a run would load it: tandem config check --config-dir <folder> experiment=<name>",
  });
}

/** Whether a file is a group's choice: by its place in Tandem's own folders, by its header or defaults list, or by the groups around it. */
function isOfGroup(place: string, yaml: YamlFile): boolean {
  const own = path.join(packageRoot(), "conf");
  const folder = path.dirname(place);
  const root = path.dirname(folder);
  const group = path.basename(folder);
  if (path.extname(place) !== ".yaml" || !isGroup([own], group)) return false;
  if (root === own || yaml.packageHeader !== undefined || yaml.defaults !== undefined) return true;
  const section: unknown = Object.hasOwn(schema, group) ? schema[group as keyof typeof schema] : undefined;
  // Without a header the keys stand below the group's own; a key of the top level says that the file is a whole one.
  const isWhole = [...yaml.body.entries.keys()].some((key) => Object.hasOwn(schema, key) && !Object.hasOwn(section ?? {}, key));
  return section !== undefined && !isWhole && hasGroups(root, group, own);
}

/** Whether a folder is a root: its config.yaml has a defaults list, or another group's files lie below it. */
function hasGroups(root: string, group: string, own: string): boolean {
  const config = path.join(root, "config.yaml");
  if (isFile(config) && readYamlFile(config).defaults !== undefined) return true;
  return readdirSync(root, { withFileTypes: true }).some(
    (entry) =>
      entry.isDirectory() &&
      entry.name !== group &&
      isGroup([own], entry.name) &&
      readdirSync(path.join(root, entry.name)).some((name) => name.endsWith(".yaml")),
  );
}

/** Whether a run wrote it: what every run directory has lies beside it. */
function isRuns(place: string): boolean {
  return path.basename(place) === "config.yaml" && existsSync(path.join(path.dirname(place), "environment.json"));
}

/** Whether a regular file is there that can be seen from here. */
export function isFile(file: string): boolean {
  try {
    return statSync(file).isFile();
  } catch {
    // Not there, out of reach, or text far too long for a name: an override may be.
    return false;
  }
}
