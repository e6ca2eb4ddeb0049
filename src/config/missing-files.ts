/**
 * Files and folders that a configuration names and that aren't there: said with their keys before a run directory is made. It reads none of them. The trap: a configuration may be written on one machine for
 * another, so checking it only warns; starting a run refuses.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import { type Fault, UserError } from "../errors.js";
import { withMore } from "./check-tree.js";
import type { Sources } from "./check-config.js";
import type { TandemConfig } from "./schema.js";

/** A model that a script of ours fetches. */
const FETCHED = "all-MiniLM-L6-v2";

/** One fault for each path that leads nowhere; a hub's name is no path. */
export function missingFiles({ data, retriever, generator, train }: TandemConfig, sources: Sources): Fault[] {
  const { corpus, questions, rename } = data;
  const named: Record<string, string | null> = {
    "data.corpus.path": corpus.path,
    "data.questions.train": questions.train,
    "data.questions.valid": questions.valid,
    "data.questions.test": questions.test,
    "data.questions.gold_passages": questions.gold_passages,
    "data.rename.entities": rename.entities,
    "retriever.path": retriever.path,
    "generator.path": generator.path,
    "train.contrastive.mining.teacher.path": train.contrastive.mining.teacher.path,
  };
  return Object.entries(named).flatMap(([key, place]) => {
    if (place === null || !path.isAbsolute(place) || existsSync(place)) return [];
    const isModel = key === "retriever.path" || key === "generator.path";
    const model = `${path.basename(place) === FETCHED ? "bash scripts/get-minilm.sh fetches it; or " : ""}name a model of the hub`;
    const remedy = isModel ? model : "check the path";
    return [{ where: sources[key] ?? key, what: `'${key}' names ${place}, which isn't there`, remedy }];
  });
}

/** @throws UserError for the first of {@link missingFiles}, saying how many more there are */
export function requireFiles(config: TandemConfig, sources: Sources): void {
  const [first, ...more] = missingFiles(config, sources);
  if (first !== undefined) throw new UserError(withMore(first, more.length));
}
