/**
 * Proves that what the processes of a group judge together has the scores of one process, to the bit, each scoring some of a cross-encoder's batches and no more; that an encoder as teacher stays the leader's; that outside of
 * the leader's turn it judges alone; and that another teacher under the same name is refused by name. Real processes. Alone: npx vitest run test/job/mining/shared-mining.test.ts
 */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SINGLE_PROCESS } from "../../../src/distributed/process-group.js";
import { runRanks } from "../../distributed/ranks.js";
import { goldens } from "../../nn/goldens.js";
import { crossEncoderFolder } from "../../nn/model-folder.js";
import { temporaryFolder } from "../../storage/bad-input.js";
import program, { type JudgedResult, type JudgedTogether } from "./judging-program.js";

const member = path.join(import.meta.dirname, "judging-program.ts");
const teacher = crossEncoderFolder();
afterAll(teacher.free);
const work = (kind: JudgedTogether["kind"], ...folders: string[]): JudgedTogether => ({ kind, folders });

describe("a cross-encoder", () => {
  let one: JudgedResult;
  beforeAll(async () => {
    one = await program(SINGLE_PROCESS, work("cross-encoder", teacher.folder));
    expect(new Set(one.scores).size).toBeGreaterThan(50);
  });

  it.each([2, 3])("judges by %i processes what one judges", async (size) => {
    const found = await runRanks<JudgedResult>(member, size, work("cross-encoder", ...Array<string>(size).fill(teacher.folder)));
    expect(found[0]!.scores).toEqual(one.scores);
    expect(found[0]!.alone).toEqual(one.scores);
    const scored = found.map((each) => each.scored);
    expect(scored.reduce((sum, count) => sum + count)).toBe(400);
    expect(Math.min(...scored)).toBeGreaterThan(60);
    expect(found[0]!.progress.at(-1)).toBe(400);
  });

  it("that another process has with other weights is refused by its name", async () => {
    const other = path.join(temporaryFolder(), path.basename(teacher.folder));
    cpSync(teacher.folder, other, { recursive: true });
    const weights = path.join(other, "model.safetensors");
    const bytes = readFileSync(weights);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(weights, bytes);
    const failed = runRanks<JudgedResult>(member, 2, work("cross-encoder", teacher.folder, other));
    await expect(failed).rejects.toThrow(/worker 1: .* is another teacher than worker 0's of that name/);
  });
});

it("an encoder judges in the leader alone", async () => {
  const folder = path.join(goldens, "bert-tiny");
  const one = await program(SINGLE_PROCESS, work("encoder", folder));
  const found = await runRanks<JudgedResult>(member, 2, work("encoder", folder, folder));
  expect(found[0]!.scores).toEqual(one.scores);
  expect(found.map(({ scored }) => scored)).toEqual([0, 0]);
});
