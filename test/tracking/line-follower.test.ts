/**
 * Proves that a file which grows is followed line by line, however the writes are cut; that a replaced or shortened one is read from its front; and that a line whose taker failed comes again.
 * Alone: npx vitest run test/tracking/line-follower.test.ts
 */
import { appendFileSync, mkdtempSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineFollower } from "../../src/tracking/line-follower.js";
import { temporaryFolder } from "../storage/bad-input.js";

const scratch = temporaryFolder();
const fresh = (): string => path.join(mkdtempSync(path.join(scratch, "case-")), "lines");

async function taken(follower: LineFollower): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of follower.newLines()) lines.push(line);
  return lines;
}

describe("a file that is followed", () => {
  it("gives each line once, wherever its bytes were cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.string({ unit: "grapheme", maxLength: 8 }).map((text) => text.replaceAll("\n", "")),
          { maxLength: 8 },
        ),
        fc.array(fc.nat(60), { maxLength: 8 }),
        async (lines, cuts) => {
          const file = fresh();
          const follower = new LineFollower(file);
          const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
          const seen = await taken(follower);
          const places = [...new Set(cuts.map((cut) => Math.min(cut, bytes.length)))].sort((a, b) => a - b);
          for (const [index, place] of [...places, bytes.length].entries()) {
            appendFileSync(file, bytes.subarray(places[index - 1] ?? 0, place));
            seen.push(...(await taken(follower)));
          }
          expect(seen).toEqual(lines);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is read in pieces: lines longer than one and thousands of short ones", async () => {
    const file = fresh();
    const lines = ["x".repeat(700_000), ...Array.from({ length: 50_000 }, (_, i) => `line ${i}`)];
    writeFileSync(file, `${lines.join("\n")}\nhalf`);
    const follower = new LineFollower(file);
    expect(await taken(follower)).toEqual(lines);
    expect(await taken(follower)).toEqual([]);
    appendFileSync(file, " and whole\n");
    expect(await taken(follower)).toEqual(["half and whole"]);
  });

  it("is read from its front when another takes its place, when it is shorter, and when asked", async () => {
    const file = fresh();
    writeFileSync(file, "a\nb\nc\n");
    const follower = new LineFollower(file);
    expect(await taken(follower)).toEqual(["a", "b", "c"]);
    writeFileSync(`${file}.new`, "a\nb\nd\ne\n");
    renameSync(`${file}.new`, file);
    expect(await taken(follower)).toEqual(["a", "b", "d", "e"]);
    writeFileSync(file, "f\n");
    expect(await taken(follower)).toEqual(["f"]);
    follower.rewind();
    expect(await taken(follower)).toEqual(["f"]);
  });

  it("gives a line again when whoever took it failed", async () => {
    const file = fresh();
    writeFileSync(file, "a\nb\n");
    const follower = new LineFollower(file);
    await expect(
      (async () => {
        for await (const line of follower.newLines()) if (line === "b") throw new Error("no");
      })(),
    ).rejects.toThrow("no");
    expect(await taken(follower)).toEqual(["b"]);
  });
});
