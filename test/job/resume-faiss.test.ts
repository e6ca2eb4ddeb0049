/**
 * Proves that a run whose search is approximate, by an index of FAISS's, equals the uninterrupted one after SIGKILL in training, between refresh and next phase and while an index file is being written:
 * the same losses, weights and report, and the same index files byte for byte.
 * Needs the compiled program (npm run build) and libfaiss. Alone: npx vitest run test/job/resume-faiss.test.ts
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { hashFile } from "../../src/storage/content-hash.js";
import { faissMissing } from "../retrieval/faiss-here.js";
import { expectEqualRuns, killAndResume, wholeRun } from "./killed-run.js";

const words = (runs: string): string[] => [
  "experiment=tiny",
  "index=ivf",
  "index.factory='IVF16,SQ8'",
  "index.search='nprobe=4'",
  `run.dir=${runs}`,
  "train.checkpoint.every=3",
  "--quiet",
];

const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** SHA-256 of each index file by its index's name, which is its content's. */
const indexFiles = (run: string): Record<string, string> =>
  Object.fromEntries(
    namesIn(path.join(run, "index"))
      .filter((name) => /^[0-9a-f]{16}$/.test(name))
      .sort()
      .map((name) => [name, hashFile(path.join(run, "index", name, "index.faiss"))]),
  );

describe.skipIf(faissMissing !== undefined)(
  `a killed run with a FAISS index${faissMissing === undefined ? "" : `: ${faissMissing}`}`,
  () => {
    let whole = "";

    beforeAll(async () => {
      whole = await wholeRun(words);
      expect(Object.keys(indexFiles(whole)).length).toBeGreaterThan(1);
    }, 300_000);

    it("equals the uninterrupted one after SIGKILL in training, before and after the index is searched", async () => {
      const { run, killed } = await killAndResume(words, 3, (folder, kill) => {
        const file = path.join(folder, "metrics.jsonl");
        return existsSync(file) && readFileSync(file, "utf8").split("\n").length - 1 >= 4 + 5 * kill;
      });
      expect(killed).toBe(3);
      expectEqualRuns(run, whole);
      expect(indexFiles(run)).toEqual(indexFiles(whole));
    }, 400_000);

    it("equals the uninterrupted one after SIGKILL while an index file is being written", async () => {
      const { run, killed } = await killAndResume(words, 1, (folder) =>
        namesIn(path.join(folder, "index")).some(
          (name) => name.includes(".tmp") && namesIn(path.join(folder, "index", name)).includes("index.faiss"),
        ),
      );
      expect(killed).toBe(1);
      expectEqualRuns(run, whole);
      expect(indexFiles(run)).toEqual(indexFiles(whole));
      expect(namesIn(path.join(run, "index")).filter((name) => name.includes(".tmp"))).toEqual([]);
    }, 400_000);
  },
);
