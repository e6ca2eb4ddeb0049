/**
 * Proves which files of a run directory are sent: all that docs/tracking.md and the config key name, and no other; nothing at all where none are wanted.
 * Alone: npx vitest run test/tracking/run-artefacts.test.ts
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { tracking } from "../../src/config/schema-tracking.js";
import { runArtefacts } from "../../src/tracking/run-artefacts.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { finishRun, makeRun } from "./made-run.js";

const scratch = temporaryFolder();
const ROOT = path.join(import.meta.dirname, "../..");
const NAMED = ["config.yaml", "overrides.yaml", "environment.json", "resumptions.jsonl", "inputs.json", "audit.txt", "schedule.json"];
const REPORTS = ["report.json", "report.txt", "report.html"];
const PATCH = "uncommitted-0123456789ab.patch";

/** A run with every file that a run can have. */
function wholeRun(): ReturnType<typeof makeRun> {
  const run = makeRun(scratch, { steps: 2 });
  finishRun(run);
  for (const name of ["resumptions.jsonl", "audit.txt", "schedule.json", PATCH]) writeFileSync(path.join(run.path, name), "\n");
  for (const folder of ["corpus", "index/0123456789abcdef", "checkpoints/step-1"])
    mkdirSync(path.join(run.path, folder), { recursive: true });
  for (const name of [
    "corpus/manifest.json",
    "corpus/passages-00000.bin",
    "index/0123456789abcdef/provenance.json",
    "index/0123456789abcdef/vectors.npy",
  ])
    writeFileSync(path.join(run.path, name), "{}");
  return run;
}

describe("the files of a run that are sent", () => {
  const run = wholeRun();
  const names = runArtefacts(run, { files: true, models: false }).map(({ name }) => name);

  it("are these, the patch among them", () => {
    const patches = names.filter((name) => /^uncommitted-.*\.patch$/.test(name));
    expect(patches).toContain(PATCH);
    expect([...names].sort()).toEqual(
      [
        ...NAMED,
        ...REPORTS,
        ...patches,
        "corpus/manifest.json",
        "index/0123456789abcdef/provenance.json",
        "validation/step-00000002-generator.jsonl",
        "validation/summary.jsonl",
      ].sort(),
    );
  });

  it("stand in docs/tracking.md, by name", () => {
    const text = readFileSync(path.join(ROOT, "docs/tracking.md"), "utf8");
    for (const name of [...NAMED, ...REPORTS]) expect(text, name).toContain(`\`${name}\``);
    expect(text).toMatch(/patch of what wasn't committed[^.]*`tracking\.artefacts\.files=false`/);
  });

  it("are named by the config key that holds them back, with the patch", () => {
    expect(JSON.stringify(tracking)).toMatch(/patch of uncommitted changes/);
    expect(runArtefacts(run, { files: false, models: false })).toEqual([]);
  });
});
