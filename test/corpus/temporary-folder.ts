/** A folder for one test file, removed when its tests are done. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll } from "vitest";

export interface TemporaryFolder {
  readonly path: string;
  /** Writes a file below the folder, with its parents; returns its full path. */
  write: (name: string, content: string | Uint8Array) => string;
  join: (...names: string[]) => string;
}

export function temporaryFolder(): TemporaryFolder {
  const folder = mkdtempSync(path.join(tmpdir(), "tandem-corpus-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, content: string | Uint8Array): string => {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
    return file;
  };
  return { path: folder, write, join: (...names) => path.join(folder, ...names) };
}
