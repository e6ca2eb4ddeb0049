/**
 * What a group's file that the command line chose says in vain, because a file that is composed later says otherwise: `train=atlas experiment=quickstart` trains by the quickstart's schedule. It changes nothing. The trap: what an override
 * sets over the file was asked for, and isn't told.
 */
import type { Layer } from "./defaults-list.js";
import type { Override } from "./overrides.js";
import { type ConfigNode, nodeAt, plainValue } from "./tree.js";

/**
 * @param groups the overrides that choose files
 * @param files what the files say together, before the other overrides
 * @param tree the same with them
 * @returns warnings, one line a file
 */
export function overshadowed(groups: readonly Override[], layers: readonly Layer[], files: ConfigNode, tree: ConfigNode): string[] {
  return groups.flatMap(({ key, value }) => {
    if (value?.kind !== "scalar") return [];
    const layer = layers.find(({ file }) => file.endsWith(`/${key}/${String(value.value)}.yaml`));
    if (layer === undefined) return [];
    const at = layer.package === "" ? [] : layer.package.split(".");
    const lost = leavesOf(layer.body, at).flatMap(([path, own]) => {
      const final = nodeAt(tree, path);
      // A list that an override changed in one place is another node, but still the file's.
      const isOwn = nodeAt(files, path) === own || final === own;
      const isKept = final === undefined || isOwn || final.source.startsWith("override ");
      if (isKept || JSON.stringify(plainValue(final)) === JSON.stringify(plainValue(own))) return [];
      return [`'${path.join(".")}' is what ${final.source} says`];
    });
    if (lost.length === 0) return [];
    const [first, ...more] = lost;
    const others = more.length === 0 ? "" : ` and ${more.length} more ${more.length === 1 ? "key" : "keys"} likewise`;
    return [
      `${key}=${String(value.value)} was chosen, but ${first ?? ""}${others}: an experiment's own values win; set the key itself, or choose no experiment`,
    ];
  });
}

/** Lists and scalars by their paths. */
function leavesOf(node: ConfigNode, path: readonly string[]): [readonly string[], ConfigNode][] {
  if (node.kind !== "map") return [[path, node]];
  return [...node.entries].flatMap(([key, child]) => leavesOf(child, [...path, key]));
}
