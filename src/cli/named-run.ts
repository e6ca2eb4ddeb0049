/** A run directory as a command names it: by its path, or `latest`. The trap: `latest` is the newest run here, whatever became of it; to ask, search and eval it is the newest one that is trained (find-run.ts). */
import path from "node:path";
import type { RunDirectory } from "../tracking/run-directory.js";

/** Where runs are. */
export const ROOT = "runs";
const LATEST = "latest";

/** @throws UserError when there is none */
export async function namedRun(name: string): Promise<RunDirectory> {
  const { openRunDirectory } = await import("../tracking/run-directory.js");
  if (name !== LATEST) return openRunDirectory(name.replace(/(?<=.)\/+$/, ""));
  const { runsIn } = await import("../tracking/run-summary.js");
  const newest = runsIn(ROOT).at(-1);
  return newest ?? openRunDirectory(path.join(ROOT, LATEST));
}
