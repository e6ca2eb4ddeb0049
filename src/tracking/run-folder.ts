/**
 * The name of a run's or a sweep's folder, `<time>-<name>`, and its claim. What stands in it is run-directory.ts. The trap: several jobs start within one second, so a folder is claimed by making it, and a
 * taken name gets a number.
 */
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile, systemCode } from "../storage/file-fault.js";
import { makeFolder } from "../storage/make-folder.js";

/** What the name of a sweep's folder ends with, before the number that sets it apart. */
export const SWEEP_SUFFIX = "-multirun";

/** The file that says how a sweep stands; a folder without it is no sweep. */
export const SWEEP_STATE = "sweep.json";

export function isSweepFolder(path: string): boolean {
  return existsSync(join(path, SWEEP_STATE));
}

/** Whether the folder is called like a sweep's and has neither state nor run: its making was cut off, or goes on in another process. */
export function isHalfMadeSweep(path: string): boolean {
  const isCalledSo = /-multirun(?:\+\d+)?$/.test(basename(path));
  return isCalledSo && existsSync(path) && !isSweepFolder(path) && !existsSync(join(path, "environment.json"));
}

/** A run's name among others: its folder's, behind the sweep's where it belongs to one. */
export function runLabel(path: string): string {
  const folder = dirname(path);
  return isSweepFolder(folder) ? join(basename(folder), basename(path)) : basename(path);
}

/** Year to second in UTC, so that names sort by time on every machine: `20260314-150926`. */
export function timeStamp(time: Date): string {
  const digits = time.toISOString().replaceAll(/\D/g, "");
  return `${digits.slice(0, 8)}-${digits.slice(8, 14)}`;
}

/** Makes the folder, or the next one with a number when the name is taken. */
export function claimFolder(root: string, name: string): string {
  aboutFile(root, () => makeFolder(root));
  for (let number = 1; ; number++) {
    const path = join(root, number === 1 ? name : `${name}+${number}`);
    try {
      aboutFile(path, () => mkdirSync(path));
      return path;
    } catch (error) {
      const isTaken = error instanceof UserError && systemCode(error.cause) === "EEXIST" && statSync(path).isDirectory();
      if (!isTaken) throw error;
    }
  }
}

/** Whatever under `root` was claimed under this name, the oldest first. */
export function claimedFolders(root: string, name: string): string[] {
  return (existsSync(root) ? aboutFile(root, () => readdirSync(root)) : [])
    .filter((folder) => /^\d{8}-\d{6}-([^+]*)(?:\+\d+)?$/.exec(folder)?.[1] === name)
    .sort(byTime)
    .map((folder) => join(root, folder));
}

/** Whether the name says when it was claimed; a copy that somebody named otherwise has no place in time. */
export function hasTime(folder: string): boolean {
  return /^\d{8}-\d{6}-/.test(folder);
}

/** Orders names of folders by their time, those that were claimed in the same second by their number: `+2` before `+10`. */
export function byTime(left: string, right: string): number {
  const [leftName = "", leftNumber = "1"] = left.split("+");
  const [rightName = "", rightNumber = "1"] = right.split("+");
  return leftName === rightName ? Number(leftNumber) - Number(rightNumber) : leftName < rightName ? -1 : 1;
}
