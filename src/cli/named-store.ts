/** A passage store by its own folder or by that of a run, for commands that take either. */
import { existsSync } from "node:fs";
import path from "node:path";
import type { PassageStore } from "../corpus/passage-store.js";

/** @throws UserError if there is no store in the folder */
export async function openNamedStore(folder: string): Promise<PassageStore> {
  const { PassageStore: Store } = await import("../corpus/passage-store.js");
  const inRun = path.join(folder, "corpus");
  return Store.open(existsSync(path.join(inRun, "manifest.json")) ? inRun : folder);
}
