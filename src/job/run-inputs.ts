/**
 * The files outside the run directory that training reads again at each start: questions, gold passages, entity spans. Their content is noted when the run begins and compared when it goes on, because a
 * changed question changes every batch after it. Corpus and models aren't here: the run directory holds its own. The trap: a path that moved is as bad as a file that changed, so both are said.
 */
import { existsSync } from "node:fs";
import path from "node:path";
import type { DataConfig } from "../config/schema.js";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { hashFile } from "../storage/content-hash.js";
import { readJson } from "../storage/json-file.js";

const FILE = "inputs.json";

/**
 * Notes the files' hashes in `<run>/inputs.json` at a run's first start; later compares.
 *
 * @throws UserError naming the file that is gone or not what the run began with
 */
export function requireSameInputs(run: string, data: DataConfig): void {
  const now = hashes(data);
  const file = path.join(run, FILE);
  if (!existsSync(file)) {
    writeFileAtomic(file, `${JSON.stringify(now, null, 2)}\n`);
    return;
  }
  const noted = readJson(file) as Record<string, { path: string; sha256: string }>;
  for (const [key, { path: where, sha256 }] of Object.entries(now)) {
    const before = noted[key];
    if (before === undefined || before.sha256 === sha256) continue;
    throw new UserError({
      where: `data.${key}`,
      what: `${where} is not the file this run began with`,
      expected: `SHA-256 ${before.sha256}`,
      got: sha256,
      remedy: "put the old file back, or start a new run",
    });
  }
}

function hashes({ questions, rename }: DataConfig): Record<string, { path: string; sha256: string }> {
  const read = {
    "questions.train": questions.train,
    "questions.valid": questions.valid,
    "questions.test": questions.test,
    "questions.gold_passages": questions.gold_passages,
    "rename.entities": rename.enabled ? rename.entities : null,
  };
  const found: Record<string, { path: string; sha256: string }> = {};
  for (const [key, file] of Object.entries(read)) if (file !== null) found[key] = { path: file, sha256: hashFile(file) };
  return found;
}
