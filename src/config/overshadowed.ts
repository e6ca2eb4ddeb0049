/**
 * What a group's file that the command line chose says in vain, because a file that is composed later says otherwise: `train=atlas experiment=quickstart` trains by the quickstart's schedule. It warns, and gives what the chosen
 * file says to whoever takes the other's value out (`~train.schedule`). The trap: what an override sets over the file was asked for, and isn't told.
 */
import type { Layer } from "./defaults-list.js";
import type { Override } from "./overrides.js";
import { type ConfigNode, type KeyPath, nodeAt, plainValue } from "./tree.js";

/** The files of a composition. */
export interface Files {
  /** The overrides that choose some of them. */
  readonly groups: readonly Override[];
  /** In order of precedence: the last wins. */
  readonly layers: readonly Layer[];
  /** What they say together, over the schema's defaults and before the other overrides. */
  readonly tree: ConfigNode;
}

/** @param tree what the files say, with all overrides over it @returns warnings, one line a file */
export function overshadowed(files: Files, tree: ConfigNode): string[] {
  return chosenFiles(files).flatMap(({ word, layer }) => {
    const lost = leavesOf(layer.body, packagePath(layer)).filter(([path, own]) => {
      const final = nodeAt(tree, path);
      // A list that an override changed in one place is another node, but still the file's.
      const isOwn = nodeAt(files.tree, path) === own || final === own;
      const isKept = final === undefined || isOwn || final.source.startsWith("override ");
      return !isKept && JSON.stringify(plainValue(final)) !== JSON.stringify(plainValue(own));
    });
    const [first, ...more] = lost.map(([path]) => path);
    if (first === undefined) return [];
    const others = more.length === 0 ? "" : ` and ${more.length} more ${more.length === 1 ? "key" : "keys"} likewise`;
    return [
      `${word} was chosen, but '${first.join(".")}' is what ${nodeAt(tree, first)?.source ?? ""} says${others}: ${remedy(files, first, more.length)}`,
    ];
  });
}

/** What the file of highest rank among those that the command line chose says of a key, apart from the value that holds; undefined where none says anything, or says keys of its own. */
export function saidInVain(files: Files, path: KeyPath): ConfigNode | undefined {
  const holds = nodeAt(files.tree, path);
  const rank = ({ layer }: { layer: Layer }): number => files.layers.indexOf(layer);
  return chosenFiles(files)
    .sort((left, right) => rank(right) - rank(left))
    .map(({ layer }) => inLayer(layer, path))
    .find((node) => node !== undefined && node.kind !== "map" && node !== holds);
}

function chosenFiles({ groups, layers }: Files): { word: string; layer: Layer }[] {
  return groups.flatMap(({ key, value }) => {
    if (value?.kind !== "scalar") return [];
    const layer = layers.find(({ group, name }) => group === key && name === String(value.value));
    return layer === undefined ? [] : [{ word: `${key}=${String(value.value)}`, layer }];
  });
}

/** Whose value won instead, and the way out. */
function remedy({ layers, tree }: Files, path: KeyPath, more: number): string {
  const winner = layers.findLast((layer) => inLayer(layer, path) === nodeAt(tree, path));
  const key = path.join(".");
  const takeOut = `take ${more === 0 ? "it" : "each"} out with '~${key}'${more === 0 ? "" : " and the like"}`;
  if (winner?.group === "experiment") return `an experiment's own values win; ${takeOut}, or choose no experiment`;
  if (winner?.group === "") return `that file's own values win, for _self_ stands after the groups in its defaults; ${takeOut}`;
  return `that file comes later, and its values win; ${takeOut}`;
}

function packagePath(layer: Layer): string[] {
  return layer.package === "" ? [] : layer.package.split(".");
}

function inLayer(layer: Layer, path: KeyPath): ConfigNode | undefined {
  const at = packagePath(layer);
  return at.every((part, index) => path[index] === part) ? nodeAt(layer.body, path.slice(at.length)) : undefined;
}

/** Lists and scalars by their paths. */
function leavesOf(node: ConfigNode, path: KeyPath): [KeyPath, ConfigNode][] {
  if (node.kind !== "map") return [[path, node]];
  return [...node.entries].flatMap(([key, child]) => leavesOf(child, [...path, key]));
}
