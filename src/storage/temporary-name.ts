/**
 * Names of half-written files and folders: `.<name>.<host>.<process>.<random>.tmp`, beside the target, so that a rename never crosses
 * devices. The name says whose it is, so what a killed process left behind is swept at the next write to the same target.
 * The trap: on a shared file system a process of another machine looks dead from here; only leftovers of this machine are swept.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { systemCode } from "./file-fault.js";

/** A fresh hidden name beside `path`. `aside` marks the old folder while a new one takes its place. */
export function temporaryBeside(path: string, kind: "tmp" | "aside.tmp" = "tmp"): string {
  const absolute = resolve(path);
  const token = randomBytes(6).toString("hex");
  return join(dirname(absolute), `.${shortened(basename(absolute))}.${host()}.${String(process.pid)}.${token}.${kind}`);
}

/**
 * Removes what dead processes of this machine left beside `path`. A folder that died between its two renames, with the old one set aside
 * and the new one not yet in place, is put back first.
 */
export function sweepTemporaries(path: string): void {
  const absolute = resolve(path);
  const folder = dirname(absolute);
  const prefix = `.${shortened(basename(absolute))}.${host()}.`;
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix) || !name.endsWith(".tmp")) continue;
    const match = /^(\d+)\.[0-9a-f]{12}\.(aside\.)?tmp$/.exec(name.slice(prefix.length));
    if (match === null || isAlive(Number(match[1]))) continue;
    if (match[2] !== undefined && !existsSync(absolute)) renameSync(join(folder, name), absolute);
    else rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** A process that has ended and that nobody has asked for its end yet, as under a container's first process, writes nothing any more. */
function isAlive(process_: number): boolean {
  try {
    process.kill(process_, 0);
  } catch (error) {
    return systemCode(error) !== "ESRCH";
  }
  try {
    const stat = readFileSync(`/proc/${process_}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return true;
  }
}

function host(): string {
  return hostname()
    .replace(/[^A-Za-z0-9-]/g, "-")
    .slice(0, 40);
}

/** A file name may have 255 bytes; the rest of ours needs about 80. */
function shortened(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > 150) short = Array.from(short).slice(0, -1).join("");
  return short;
}
