/**
 * Proves of scratch folders, with real processes: each has its own, which its owner alone reads; what a killed one left is gone with the next of that purpose, and nothing else is: not a living one's, not another purpose's,
 * not another user's.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { scratchFolder } from "../../src/storage/scratch-folder.js";

const module = path.join(import.meta.dirname, "../../src/storage/scratch-folder.ts");
const before = process.env["TMPDIR"];
const place = mkdtempSync(path.join(tmpdir(), "tandem-scratch-"));
beforeAll(() => (process.env["TMPDIR"] = place));
afterAll(() => {
  if (before === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = before;
  rmSync(place, { recursive: true, force: true });
});

/** A process that has made one and waits. */
async function holder(purpose: string): Promise<{ folder: string; kill: () => Promise<void> }> {
  const source = `import { scratchFolder } from ${JSON.stringify(module)}; console.log(scratchFolder("${purpose}")); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { folder: line.toString().trim(), kill };
}

it("is its owner's alone, and another one each time", () => {
  const [first, second] = [scratchFolder("one"), scratchFolder("one")];
  expect(first).not.toBe(second);
  expect(path.dirname(first)).toBe(place);
  expect(statSync(first).mode & 0o777).toBe(0o700);
  for (const folder of [first, second]) rmSync(folder, { recursive: true });
});

it("of a killed process is swept by the next of its purpose; those of the living, of other purposes and other users stay", async () => {
  const [killed, living, other] = await Promise.all([holder("two"), holder("two"), holder("three")]);
  writeFileSync(path.join(killed.folder, "weights"), "half");
  await killed.kill();
  await other.kill();
  const anothers = killed.folder.replace(/tandem-two-\d+/, "tandem-two-4294967294");
  mkdirSync(anothers);
  const own = scratchFolder("two");
  await living.kill();
  expect(existsSync(killed.folder)).toBe(false);
  const left = readdirSync(place).filter((name) => name.startsWith(".tandem-"));
  expect(left.sort()).toEqual([own, living.folder, other.folder, anothers].map((folder) => path.basename(folder)).sort());
}, 30_000);

it("says in one line that the system's temporary folder isn't there", () => {
  process.env["TMPDIR"] = path.join(place, "gone");
  expect(() => scratchFolder("one")).toThrow(/gone/);
  process.env["TMPDIR"] = place;
});
