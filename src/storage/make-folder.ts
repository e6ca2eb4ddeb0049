/**
 * `mkdir -p`. The trap it is there for: Node's own `mkdirSync(path, { recursive: true })` never returns for a path below `/proc` and eats all memory
 * meanwhile, because `mkdir` says "no such file" there although the parent exists.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Makes a folder and its missing parents. @throws the system's error (see `aboutFile`): EEXIST for a file in its place, ENOTDIR for one above, ENOENT below /proc … */
export function makeFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  if (found !== undefined) throw Object.assign(new Error(`${folder} is a file`), { code: "EEXIST" });
  makeParent(folder);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it in between.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

function makeParent(folder: string): void {
  const parent = dirname(folder);
  const found = statSync(parent, { throwIfNoEntry: false });
  if (found === undefined && parent !== folder) makeFolder(parent);
  else if (found?.isDirectory() === false) throw Object.assign(new Error(`${parent} is a file`), { code: "ENOTDIR" });
}
