/**
 * Proves that workers who share the work of an index make what one makes, byte for byte: the folder's name, the vectors, the rows found; that each embeds its part and no more; that what a build had when a worker failed is gone on from,
 * by as many workers, by more, or by one; and that a worker that fails, or has another retriever, is named. Real processes. Alone: npx vitest run test/job/index-sharing.test.ts
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { SINGLE_PROCESS } from "../../src/distributed/process-group.js";
import { hashFile } from "../../src/storage/content-hash.js";
import { runRanks } from "../distributed/ranks.js";
import { writtenStore } from "../corpus/written-store.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { PASSAGES, QUESTIONS } from "../training/tiny-world.js";
import program, { type SharedResult, type SharedWork } from "./sharing-member.js";

const member = path.join(import.meta.dirname, "sharing-member.ts");
/** Three parts: 512, 512 and 276 passages. */
const SIZE = 1300;
const store = writtenStore(
  path.join(temporaryFolder(), "store"),
  Array.from({ length: SIZE }, (_, i) => {
    const { title, text } = PASSAGES[i % 4]!;
    return { document: `document ${i % 50}`, title, text: `${text} ${"It rains. ".repeat(i % 7)}Number ${i % 400}.` };
  }),
);

function workIn(folder: string, change: Partial<SharedWork> = {}): SharedWork {
  for (const name of ["index", "retrieval"]) mkdirSync(path.join(folder, name), { recursive: true });
  return { store: store.folder, folder, questions: QUESTIONS.map(({ question }) => question), k: 30, ...change };
}

/** Every file below, with its hash. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files
      .map(({ parentPath, name }) => path.join(parentPath, name))
      .sort()
      .map((file) => [path.relative(folder, file), hashFile(file)]),
  );
}

const one = temporaryFolder();
let expected: SharedResult;
beforeAll(async () => {
  expected = await program(SINGLE_PROCESS, workIn(one));
});

describe("workers who share an index", () => {
  it.each([
    [2, [512, 788]],
    [3, [512, 512, 276]],
    [4, [0, 512, 512, 276]],
  ])("%i make what one makes, to the byte, each its part", async (size, embedded) => {
    const folder = temporaryFolder();
    const found = await runRanks<SharedResult>(member, size, workIn(folder));
    expect(contents(folder)).toEqual(contents(one));
    expect(found[0]!.made).toEqual(expected.made);
    expect(found.map((each) => each.embedded)).toEqual(embedded);
    expect(expected.embedded).toBe(SIZE);
    if (embedded[0]! > 0)
      expect(found[0]!.progress).toContainEqual(
        expect.objectContaining({ done: 512, total: 512, detail: `passages embedded by each of ${size} workers` }),
      );
  });

  it.each([
    // The second worker has embedded its first part, the first worker all of its own.
    [1, 600, 2, [0, 276]],
    [1, 600, 3, [0, 0, 276]],
    [1, 600, 1, [276]],
    // The first worker has nothing; how much the other has by then is its own affair.
    [0, 100, 2, undefined],
  ])("go on from what there was when worker %i failed after %i passages, %i of them", async (rank, after, size, embedded) => {
    const folder = temporaryFolder();
    const awaits = path.join(folder, "index", `${expected.made!.index}.partial`, "0000000000.partial/progress.json");
    const failed = runRanks<SharedResult>(member, 2, workIn(folder, { failing: { rank, after, ...(rank === 1 ? { awaits } : {}) } }));
    await expect(failed).rejects.toThrow(new RegExp(`rank ${rank}: Error: the device is out of memory`));
    const again = size === 1 ? [await program(SINGLE_PROCESS, workIn(folder))] : await runRanks<SharedResult>(member, size, workIn(folder));
    expect(contents(folder)).toEqual(contents(one));
    if (embedded !== undefined) expect(again.map((each) => each.embedded)).toEqual(embedded);
  });

  it("name the one who can't write, and leave no index", async () => {
    const folder = temporaryFolder();
    const work = workIn(folder);
    const partial = path.join(folder, "index", `${expected.made!.index}.partial`);
    mkdirSync(partial);
    writeFileSync(path.join(partial, "0000000512.partial"), "in the way");
    await expect(runRanks<SharedResult>(member, 2, work)).rejects.toThrow(/rank 1: UserError.*0000000512\.partial/);
    expect(existsSync(path.join(folder, "index", expected.made!.index))).toBe(false);
  });

  it("name the one whose retriever is another", async () => {
    const work = workIn(temporaryFolder(), { stranger: 1 });
    await expect(runRanks<SharedResult>(member, 2, work)).rejects.toThrow(
      /rank 1: UserError: worker 1: embeds other vectors than worker 0/,
    );
  });
});
