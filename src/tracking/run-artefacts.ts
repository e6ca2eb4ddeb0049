/**
 * Which files of a run directory go into a server's artefact store: what says what was done and how it ended. Checkpoints, embeddings and passages stay; models go only where they are wanted. The trap: names are
 * those of the run directory, so that a run can be read from the store as from the disk.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { RunDirectory } from "./run-directory.js";

export interface Artefact {
  /** Its path in the store, with slashes. */
  readonly name: string;
  readonly file: string;
}

/** What is sent beside parameters and metrics. */
export interface ArtefactChoice {
  readonly files: boolean;
  readonly models: boolean;
}

const FILES = [
  "config.yaml",
  "overrides.yaml",
  "environment.json",
  "resumptions.jsonl",
  "inputs.json",
  "models.json",
  "alarms.jsonl",
  "audit.txt",
  "schedule.json",
  "report.json",
  "report.txt",
  "report.html",
];

/** The files that are there by now, small ones first. */
export function runArtefacts(run: RunDirectory, { files, models }: ArtefactChoice): Artefact[] {
  const at = (name: string): Artefact => ({ name, file: join(run.path, name) });
  const named = files ? [...FILES, ...namesIn(run.path, /^uncommitted-[0-9a-f]+\.patch$/), "corpus/manifest.json", ...provenance(run)] : [];
  const answers = files ? namesIn(run.validation, /\.(jsonl|md)$/).map((name) => `validation/${name}`) : [];
  const trained = models && existsSync(run.retriever) && existsSync(run.generator) ? ["retriever", "generator"] : [];
  if (trained.length > 0 && existsSync(run.passageRetriever)) trained.push("passage-retriever");
  const weights = trained.flatMap((folder) => filesBelow(join(run.path, folder)).map((name) => `${folder}/${name}`));
  return [...named, ...answers, ...weights].map(at).filter(({ file }) => existsSync(file));
}

/** What each index was made from, by hashes. */
function provenance(run: RunDirectory): string[] {
  return namesIn(run.index, /^[0-9a-f]{16}$/).map((name) => `index/${name}/provenance.json`);
}

function namesIn(folder: string, pattern: RegExp): string[] {
  return existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => pattern.test(name))
        .sort()
    : [];
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith(".")) return [];
    return entry.isDirectory() ? filesBelow(join(folder, entry.name)).map((name) => `${entry.name}/${name}`) : [entry.name];
  });
}
