/**
 * The name of a run's or a sweep's folder, `<time>-<name>`, and its claim. What stands in it is run-directory.ts. The trap: several jobs start within one second, so a folder is claimed by making it, and a
 * taken name gets a number.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile, systemCode } from "../storage/file-fault.js";
import { makeFolder } from "../storage/make-folder.js";

/** Year to second in UTC, so that names sort by time on every machine: `20260314-150926`. */
export function timeStamp(time: Date): string {
  const digits = time.toISOString().replaceAll(/\D/g, "");
  return `${digits.slice(0, 8)}-${digits.slice(8, 14)}`;
}

/** Makes the folder, or the next one with a number when the name is taken. */
export function claimFolder(root: string, name: string): string {
  aboutFile(root, () => makeFolder(root));
  for (let number = 1; ; number++) {
    const path = join(root, number === 1 ? name : `${name}+${number}`);
    try {
      aboutFile(path, () => mkdirSync(path));
      return path;
    } catch (error) {
      const isTaken = error instanceof UserError && systemCode(error.cause) === "EEXIST" && statSync(path).isDirectory();
      if (!isTaken) throw error;
    }
  }
}
