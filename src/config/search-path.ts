/**
 * The folders that configuration files are looked for in: the user's first, then the package's own `conf/`. A config is named without its ending
 * (`config`, `experiment/squad`); a folder is a group. The trap: a name never leaves the folders, `../x` is refused.
 */
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../errors.js";
import { didYouMean, nearestNames } from "./nearest.js";

/** Folders, the first that has a file wins. */
export type SearchPath = readonly string[];

/** The root of the installed package: the folder of package.json, from the sources and from `dist` alike. */
export function packageRoot(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(folder, "package.json")) && folder !== path.dirname(folder)) folder = path.dirname(folder);
  return folder;
}

/** @throws UserError if the user's folder isn't one */
export function searchPath(configDir?: string): SearchPath {
  const own = path.join(packageRoot(), "conf");
  if (configDir === undefined) return [own];
  if (!isFolder(configDir)) {
    throw new UserError({
      where: configDir,
      what: "not a folder",
      expected: "a folder with configuration files",
      remedy: "mend --config-dir",
    });
  }
  return path.resolve(configDir) === own ? [own] : [path.resolve(configDir), own];
}

/** The file of a config, or undefined. */
export function findConfig(folders: SearchPath, name: string): string | undefined {
  if (name.split("/").some((part) => part === ".." || part === "" || part.includes("\\") || part.includes("\0"))) return undefined;
  return folders.map((folder) => path.join(folder, `${name}.yaml`)).find((file) => existsSync(file));
}

/** Whether a key of an override names a group: some folder has it as a folder. */
export function isGroup(folders: SearchPath, key: string): boolean {
  return !key.includes(".") && folders.some((folder) => isFolder(path.join(folder, key)));
}

/** The groups at the folders' top, sorted. */
export function groupsOf(folders: SearchPath): string[] {
  const names = folders.flatMap((folder) =>
    readdirSync(folder).filter((name) => isFolder(path.join(folder, name)) && optionsOf([folder], name).length > 0),
  );
  return [...new Set(names)].sort();
}

/** The options of a group, sorted. */
export function optionsOf(folders: SearchPath, group: string): string[] {
  const files = folders
    .map((folder) => path.join(folder, group))
    .filter(isFolder)
    .flatMap((folder) => readdirSync(folder));
  return [...new Set(files.filter((file) => file.endsWith(".yaml")).map((file) => file.slice(0, -".yaml".length)))].sort();
}

/** The error for an option that no file of a group has. */
export function noSuchOption(folders: SearchPath, group: string, option: string, where: string): UserError {
  const options = optionsOf(folders, group);
  const what = group === "" ? `no configuration '${option}'` : `no '${option}' in group ${group}`;
  const expected = options.length === 0 ? {} : { expected: options.join(", ") };
  return new UserError({
    where,
    what,
    ...expected,
    remedy: didYouMean(
      nearestNames(option, options),
      `looked for ${[group, option].filter(Boolean).join("/")}.yaml in ${folders.join(" and ")}`,
    ),
  });
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
