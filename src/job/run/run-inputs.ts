/**
 * The files outside the run directory that training reads again at each start: questions, gold passages, entity spans, a teacher. Their content is noted when the run begins and compared when it goes on, because a
 * changed question changes every batch after it. Corpus and models aren't here: the run directory holds its own. The trap: a file that was broken at the first start may be mended, so nothing is held to
 * its hash before a checkpoint was trained on it.
 */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { jsonlFiles } from "../../corpus/jsonl-reader.js";
import { hashSourceFiles } from "../../corpus/source-files.js";
import { UserError } from "../../errors.js";
import { writeFileAtomic } from "../../storage/atomic-write.js";
import { hashFile } from "../../storage/content-hash.js";
import { readJson } from "../../storage/json-file.js";
import { teacherHash } from "../mining/teacher.js";

const FILE = "inputs.json";
const TEACHER = "train.contrastive.mining.teacher.path";

/** The parts of a config that name such files. */
export interface ReadAgain {
  readonly data: TandemConfig["data"];
  readonly train: { readonly contrastive: { readonly mining: Pick<TandemConfig["train"]["contrastive"]["mining"], "teacher"> } };
}

/** Notes the files' hashes in `<run>/inputs.json`. Until a checkpoint counts on them they may change: a user mends a line and starts again. */
export function noteInputs(run: string, config: ReadAgain): void {
  writeFileAtomic(path.join(run, FILE), `${JSON.stringify(hashes(config), null, 2)}\n`);
}

/**
 * Compares the files with what was noted. A run that noted nothing, because it began with an older version, is let through.
 *
 * @throws UserError naming the file that is gone or not what the run began with
 */
export function requireSameInputs(run: string, config: ReadAgain): void {
  const file = path.join(run, FILE);
  if (!existsSync(file)) return;
  const noted = readJson(file) as Record<string, { path: string; sha256: string }>;
  for (const [key, { path: where, sha256 }] of Object.entries(hashes(config))) {
    const before = noted[key];
    if (before === undefined || before.sha256 === sha256) continue;
    throw new UserError({
      where: key === TEACHER ? key : `data.${key}`,
      what: `${where} is not the ${key === TEACHER ? "folder" : "file"} this run began with`,
      expected: `SHA-256 ${before.sha256}`,
      got: sha256,
      remedy: `put the old ${key === TEACHER ? "folder" : "file"} back, or start a new run`,
    });
  }
}

function hashes({ data: { questions, rename }, train }: ReadAgain): Record<string, { path: string; sha256: string }> {
  const read = {
    "questions.train": questions.train,
    "questions.valid": questions.valid,
    "questions.test": questions.test,
    "questions.gold_passages": questions.gold_passages,
    "rename.entities": rename.enabled ? rename.entities : null,
  };
  const found: Record<string, { path: string; sha256: string }> = {};
  for (const [key, file] of Object.entries(read)) if (file !== null) found[key] = { path: file, sha256: hashOf(file) };
  const { path: teacher } = train.contrastive.mining.teacher;
  if (teacher !== null) found[TEACHER] = { path: teacher, sha256: teacherHash(teacher) };
  return found;
}

/** Gold passages may be a folder of JSON lines. */
function hashOf(file: string): string {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true ? hashSourceFiles(jsonlFiles(file).files) : hashFile(file);
}
