/**
 * Whole files and whole folders that appear at once: written beside, synced, renamed. A process killed at any moment leaves the old
 * content. For files that are written piece by piece see `AtomicFile`.
 * The trap: a folder can't be renamed over a full folder, so replacing one takes two renames; a kill between them leaves the old folder set
 * aside until the next write (or `restoreFolder`) puts it back. What must survive everything gets a new name each time.
 */
import { closeSync, existsSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { UserError } from "../errors.js";
import { AtomicFile, syncFolder } from "./atomic-file.js";
import { aboutFile, fileFault } from "./file-fault.js";
import { makeFolder } from "./make-folder.js";
import { sweepTemporaries, temporaryBeside } from "./temporary-name.js";

export { AtomicFile };

/**
 * Writes `data` (text as UTF-8) to `path`, replacing what is there at once or not at all. Missing parent folders are made.
 *
 * @throws UserError when the target is a folder, the disk is full, permission is missing …
 */
export function writeFileAtomic(path: string, data: string | Uint8Array): void {
  const file = new AtomicFile(path);
  try {
    file.write(data);
    file.commit();
  } finally {
    file.abort();
  }
}

/**
 * Lets `build` fill an empty folder beside `path`, syncs every file in it and renames it to `path`, replacing a folder that is there.
 * When `build` throws or its promise is rejected, nothing changes.
 *
 * @returns what `build` returned
 * @throws UserError when `path` is a file, the disk is full, permission is missing …
 */
export function writeFolderAtomic<T>(path: string, build: (temporary: string) => Promise<T>): Promise<T>;
export function writeFolderAtomic<T>(path: string, build: (temporary: string) => T): T;
export function writeFolderAtomic<T>(path: string, build: (temporary: string) => T | Promise<T>): T | Promise<T> {
  const target = aboutFile(path, () => statSync(path, { throwIfNoEntry: false }));
  if (target !== undefined && !target.isDirectory()) {
    throw new UserError({ where: path, what: "is a file, not a folder", remedy: "name a folder or remove the file" });
  }
  const temporary = temporaryBeside(path);
  aboutFile(path, () => {
    makeFolder(dirname(temporary));
    sweepTemporaries(path);
    mkdirSync(temporary);
  });
  const discard = (error: unknown): never => {
    rmSync(temporary, { recursive: true, force: true });
    throw fileFault(path, error);
  };
  const finish = (result: T): T => {
    syncTree(temporary);
    install(temporary, resolve(path));
    return result;
  };
  try {
    const result = build(temporary);
    return result instanceof Promise ? result.then(finish).catch(discard) : finish(result);
  } catch (error) {
    return discard(error);
  }
}

/** Puts back a folder that a process killed inside `writeFolderAtomic` had set aside, and removes its leftovers. For readers. */
export function restoreFolder(path: string): void {
  if (existsSync(dirname(resolve(path)))) aboutFile(path, () => sweepTemporaries(path));
}

function install(temporary: string, target: string): void {
  if (lstatSync(target, { throwIfNoEntry: false }) === undefined) {
    renameSync(temporary, target);
    syncFolder(dirname(target));
    return;
  }
  const aside = temporaryBeside(target, "aside.tmp");
  renameSync(target, aside);
  try {
    renameSync(temporary, target);
  } catch (error) {
    renameSync(aside, target);
    throw error;
  }
  syncFolder(dirname(target));
  rmSync(aside, { recursive: true, force: true });
}

/** Syncs every file and folder below `folder`, then the folder. */
function syncTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) syncTree(path);
    else if (entry.isFile()) syncFile(path);
  }
  syncFolder(folder);
}

function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
