/**
 * A configuration file as the options that load it: a file of a group (`conf/experiment/squad.yaml`, or one below a folder of your own) is composed as `group=choice` would be, any other stands alone over
 * the schema's defaults, as a run's `config.yaml` does. The trap: a file that stands alone can't have a defaults list, since nothing says where the groups are.
 */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { UserError } from "../errors.js";
import type { LoadOptions } from "./load-config.js";
import { packageRoot, isGroup } from "./search-path.js";
import { readYamlFile } from "./yaml-file.js";

/** @throws UserError when there is no such file, it can't be read, or it has a defaults list and no group */
export function optionsForFile(file: string): LoadOptions {
  if (!existsSync(file) || !statSync(file).isFile())
    throw new UserError({
      where: file,
      what: "no such file",
      expected: "a configuration file or key=value words",
      remedy: "mend the path",
    });
  const place = path.resolve(file);
  const own = path.join(packageRoot(), "conf");
  const { name } = path.parse(place);
  const group = path.basename(path.dirname(place));
  const root = path.dirname(path.dirname(place));
  if (path.extname(place) === ".yaml" && isGroup([own], group)) return { configDir: root, overrides: [`${group}=${name}`] };
  if (path.dirname(place) === own && name === "config") return {};
  const { defaults, shown } = readYamlFile(place);
  if (defaults === undefined) return { base: place };
  throw new UserError({
    where: shown,
    what: "has a defaults list, but stands in no group's folder",
    expected: "<folder>/experiment/<name>.yaml",
    remedy: "move it there, or check it as a run would load it: tandem config check --config-dir <folder> experiment=<name>",
  });
}
