/**
 * The hub's cache on this machine, in the layout of Python's huggingface_hub, so that each finds what the other fetched:
 * `models--org--name/{blobs/<etag>, refs/<revision>, snapshots/<commit>/<file>, .no_exist/<commit>/<file>, trees/<commit>.json}` and `.locks/`. It knows nothing of the network.
 * The trap: a snapshot's files are relative links into `blobs/`; the cache may be moved, or be on a file system without links, where copies stand.
 * Source: huggingface_hub 2.4, file_download.py, and its guide "Manage the cache".
 */
import { copyFileSync, existsSync, lstatSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { writeFileAtomic } from "./atomic-write.js";
import { aboutFile, systemCode } from "./file-fault.js";
import { expectObject, readJson } from "./json-file.js";
import { makeFolder } from "./make-folder.js";
import { temporaryBeside } from "./temporary-name.js";

/** Of the listings in `trees/`. Another may mean another thing. */
const TREE_FORMAT = 1;

/** A commit's whole name. */
export const COMMIT = /^[0-9a-f]{40}$/;

/** One model's part of a cache. */
export class HubCache {
  readonly folder: string;
  readonly #locks: string;
  readonly #listings = new Map<string, ReadonlySet<string>>();

  /** @param name `name` or `org/name` */
  constructor(
    readonly cache: string,
    readonly name: string,
  ) {
    const own = `models--${name.replaceAll("/", "--")}`;
    this.folder = path.join(cache, own);
    this.#locks = path.join(cache, ".locks", own);
  }

  blob(etag: string): string {
    return path.join(this.folder, "blobs", etag);
  }

  /** The file that one process at a time locks while it fetches a blob. */
  lock(etag: string): string {
    return path.join(this.#locks, `${etag}.lock`);
  }

  snapshot(commit: string): string {
    return path.join(this.folder, "snapshots", commit);
  }

  /** The commit that a revision was when it was last fetched; a commit is its own. */
  commitOf(revision: string): string | undefined {
    if (COMMIT.test(revision)) return revision;
    const file = path.join(this.folder, "refs", revision);
    if (!existsSync(file)) return undefined;
    const commit = aboutFile(file, () => readFileSync(file, "utf8")).trim();
    return COMMIT.test(commit) ? commit : undefined;
  }

  /** Whether a snapshot has the file whole: a link whose blob is gone doesn't count. */
  has(commit: string, file: string): boolean {
    return existsSync(path.join(this.snapshot(commit), file));
  }

  /** Whether the hub is known to have no such file in this commit: somebody asked, or the whole listing that Python's `snapshot_download` keeps hasn't it. */
  isAbsent(commit: string, file: string): boolean {
    return existsSync(path.join(this.folder, ".no_exist", commit, file)) || this.#listing(commit)?.has(file) === false;
  }

  /** Whether the hub is known to have the file in this commit. */
  isListed(commit: string, file: string): boolean {
    return this.#listing(commit)?.has(file) === true;
  }

  /** The names of a commit's files, where Python noted them. It is only a hint, so a broken one counts as none. */
  #listing(commit: string): ReadonlySet<string> | undefined {
    const known = this.#listings.get(commit);
    if (known !== undefined) return known;
    const file = path.join(this.folder, "trees", `${commit}.json`);
    if (!existsSync(file)) return undefined;
    try {
      const { format_version: version, files } = expectObject(readJson(file), file);
      if (version !== TREE_FORMAT) return undefined;
      const names = new Set(Object.keys(expectObject(files, file)));
      this.#listings.set(commit, names);
      return names;
    } catch {
      return undefined;
    }
  }

  /** Notes that the hub has no such file. */
  noteAbsent(commit: string, file: string): void {
    const mark = path.join(this.folder, ".no_exist", commit, file);
    if (existsSync(mark)) return;
    aboutFile(mark, () => {
      makeFolder(path.dirname(mark));
      writeFileSync(mark, "");
    });
  }

  /** Notes which commit a branch or tag is. Nothing is written where that stands already, so that a cache may be read-only. */
  noteCommit(revision: string, commit: string): void {
    if (this.commitOf(revision) !== commit) writeFileAtomic(path.join(this.folder, "refs", revision), commit);
  }

  /** Puts a blob into a snapshot, by a relative link or, where there are no links, by a copy. */
  link(commit: string, file: string, etag: string): void {
    const target = path.join(this.snapshot(commit), file);
    if (existsSync(target)) return;
    aboutFile(target, () => {
      makeFolder(path.dirname(target));
      if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
        // Another process may have made it just now; else it is a link to a blob that was removed.
        if (existsSync(target)) return;
        rmSync(target, { force: true });
      }
      try {
        symlinkSync(path.relative(path.dirname(target), this.blob(etag)), target);
      } catch (error) {
        const code = systemCode(error);
        if (code === "EEXIST") return;
        if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error;
        const temporary = temporaryBeside(target);
        copyFileSync(this.blob(etag), temporary);
        renameSync(temporary, target);
      }
    });
  }
}
