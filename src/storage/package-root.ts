/**
 * The folder that holds Tandem's own package.json, and so the add-ons' `build/` and the checkout's `.git`.
 * The trap: the same file runs from `src/` and, compiled, from `dist/src/`, so the way up differs and is walked, not counted.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The nearest folder above this file with a package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("no package.json above the module");
    folder = parent;
  }
  return folder;
}
