/**
 * `mkdir -p`. The trap it is there for: Node's own `mkdirSync(path, { recursive: true })` never returns for a path below `/proc` and eats all memory
 * meanwhile, because `mkdir` says "no such file" there although the parent exists.
 */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** Makes a folder and its missing parents. @throws the system's error (see `aboutFile`): ENOTDIR where a part of the path is a file, ENOENT below /proc … */
export function makeFolder(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  if (found !== undefined) throw Object.assign(new Error(`${folder} is not a folder`), { code: "ENOTDIR" });
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have made it in between.
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}
