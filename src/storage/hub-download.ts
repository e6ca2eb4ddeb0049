/**
 * One file of the hub into the cache: asked for, fetched, checked against its hash, put in place. A connection that is cut goes on where it stopped, in this process or in the next one: what came so far is in
 * `blobs/<etag>.incomplete`. The traps: a blob is locked while it is fetched, because two processes would write into one another's bytes; where the file system has no locks each writes a file of its own. A
 * server may pass over `Range` and send all from the start.
 */
import { createHash, randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.js";
import { syncFolder } from "./atomic-file.js";
import { hashFile } from "./content-hash.js";
import { aboutFile, systemCode } from "./file-fault.js";
import { lockFile } from "./file-lock.js";
import type { HubCache } from "./hub-cache.js";
import { askHub, HubUnreachable, type HubAccess, type HubAnswer } from "./hub-request.js";
import { makeFolder } from "./make-folder.js";

/** A file of a model at one commit. */
export interface HubFile {
  readonly commit: string;
  /** Its path in the repository. */
  readonly file: string;
}

/** What the hub says of a file. */
export interface HubFileFacts extends HubFile {
  /** Names the blob: SHA-256 of a large file, Git's SHA-1 of a small one. */
  readonly etag: string;
  readonly size: number | undefined;
}

/** What is told while a file is fetched. */
export interface DownloadReport {
  /** So many bytes more have come; negative when a server began again. */
  readonly bytes: (count: number) => void;
  readonly note: (text: string) => void;
  readonly warn: (text: string) => void;
}

/** Attempts that bring nothing before a download is given up. */
const FRUITLESS = 5;

/** Where a file is to be asked for. */
function fileAddress({ endpoint }: HubAccess, name: string, { commit, file }: HubFile): string {
  return `${endpoint}/${name}/resolve/${encodeURIComponent(commit)}/${file.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * A file's hash and size.
 *
 * @param refused makes the error of an answer that isn't 200
 * @throws HubUnreachable; UserError for an answer without a hash or with that of another commit
 */
export async function factsOf(
  hub: HubAccess,
  name: string,
  wanted: HubFile,
  refused: (answer: HubAnswer) => UserError,
): Promise<HubFileFacts> {
  const answer = await askHub(hub, fileAddress(hub, name, wanted), { method: "HEAD" });
  answer.close();
  if (answer.status !== 200) throw refused(answer);
  const commit = answer.header("x-repo-commit");
  const etag = (answer.header("x-linked-etag") ?? answer.header("etag") ?? "").replace(/^W\//, "").replace(/^"|"$/g, "");
  const where = `${name}/${wanted.file}`;
  const remedy = "check HF_ENDPOINT: it may not be a model hub";
  if (commit !== undefined && commit !== wanted.commit)
    throw new UserError({
      where,
      what: "the hub answered with another commit",
      expected: wanted.commit,
      got: JSON.stringify(commit),
      remedy,
    });
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$/.test(etag) || etag.endsWith(".incomplete"))
    throw new UserError({ where, what: "the hub says no usable hash", expected: "an ETag", got: JSON.stringify(etag), remedy });
  const size = Number(answer.header("x-linked-size") ?? answer.length ?? "NaN");
  return { ...wanted, etag, size: Number.isSafeInteger(size) && size >= 0 ? size : undefined };
}

/** The bytes of a file that still have to come. */
export function bytesLeft(cache: HubCache, { etag, size = 0 }: HubFileFacts): number {
  if (existsSync(cache.blob(etag))) return 0;
  const partial = incomplete(cache, etag);
  const begun = aboutFile(partial, () => statSync(partial, { throwIfNoEntry: false })?.size ?? 0);
  return begun > size ? size : size - begun;
}

/**
 * Makes the file's blob stand in the cache. Waits while another process fetches it.
 *
 * @throws HubUnreachable when the connection fails again and again (what came is kept); UserError for bytes that aren't what the hash says (they are removed), a full disk …
 */
export async function fetchBlob(hub: HubAccess, cache: HubCache, facts: HubFileFacts, report: DownloadReport): Promise<void> {
  const blob = cache.blob(facts.etag);
  if (existsSync(blob)) return;
  aboutFile(blob, () => makeFolder(path.dirname(blob)));
  const { release, isAlone } = await locked(cache.lock(facts.etag), `${cache.name}/${facts.file}`, report);
  const partial = isAlone ? incomplete(cache, facts.etag) : `${blob}.${randomBytes(4).toString("hex")}.incomplete`;
  try {
    if (existsSync(blob)) return;
    await download(hub, cache.name, facts, partial, report);
    refuseOther(cache.name, facts, partial, report);
    aboutFile(blob, () => {
      renameSync(partial, blob);
      syncFolder(path.dirname(blob));
    });
  } finally {
    if (!isAlone) rmSync(partial, { force: true });
    release();
  }
}

function incomplete(cache: HubCache, etag: string): string {
  return `${cache.blob(etag)}.incomplete`;
}

/** The blob's lock, waited for as long as another process has it. `isAlone` is false where the file system has no locks. */
async function locked(file: string, what: string, { note, warn }: DownloadReport): Promise<{ release: () => void; isAlone: boolean }> {
  aboutFile(file, () => makeFolder(path.dirname(file)));
  let isSaid = false;
  for (;;) {
    try {
      const release = lockFile(file, "");
      if (release !== undefined) return { release, isAlone: true };
    } catch (error) {
      if (!["ENOLCK", "EOPNOTSUPP", "ENOSYS"].includes(systemCode(error) ?? "")) throw error;
      warn(`${path.dirname(file)}: this file system has no locks; two processes may fetch the same file`);
      return { release: () => undefined, isAlone: false };
    }
    if (!isSaid) note(`${what}: another process is fetching it; waiting`);
    isSaid = true;
    await sleep(250);
  }
}

/** Asks again from where it stopped until all is there. */
async function download(hub: HubAccess, name: string, facts: HubFileFacts, partial: string, report: DownloadReport): Promise<void> {
  const descriptor = aboutFile(partial, () => openSync(partial, "a"));
  try {
    let have = statSync(partial).size;
    if (facts.size !== undefined && have > facts.size) have = emptied(partial);
    if (have > 0 && have !== facts.size) report.note(`${name}/${facts.file}: goes on after ${have} of ${facts.size ?? "?"} bytes`);
    for (let fruitless = 0; have !== facts.size;) {
      const before = have;
      try {
        have = await receive(hub, name, facts, { partial, descriptor, have }, report);
        if (facts.size === undefined) break;
        if (have < facts.size) throw new HubUnreachable(brokenOff(name, facts, have, "the connection ended early"));
        if (have > facts.size) throw tooLong(name, facts, partial, have);
      } catch (error) {
        if (!(error instanceof HubUnreachable)) throw error;
        have = statSync(partial).size;
        fruitless = have > before ? 1 : fruitless + 1;
        if (fruitless >= FRUITLESS) throw new HubUnreachable(brokenOff(name, facts, have, error.fault.got ?? error.fault.what));
        await sleep(hub.pause * 2 ** (fruitless - 1));
      }
    }
    aboutFile(partial, () => fsyncSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

interface Begun {
  readonly partial: string;
  readonly descriptor: number;
  readonly have: number;
}

/** One connection's worth of bytes. Returns how many there are now. */
async function receive(hub: HubAccess, name: string, facts: HubFileFacts, begun: Begun, report: DownloadReport): Promise<number> {
  const { partial, descriptor } = begun;
  const range: Record<string, string> = begun.have > 0 ? { range: `bytes=${begun.have}-` } : {};
  const answer = await askHub(hub, fileAddress(hub, name, facts), { headers: range, attempts: 1 });
  let have = begun.have;
  const goesOn = answer.status === 206 && new RegExp(`^bytes ${have}-`).test(answer.header("content-range") ?? "");
  if (have > 0 && !goesOn && (answer.status === 200 || answer.status === 206 || answer.status === 416)) {
    report.bytes(-have);
    have = emptied(partial);
  }
  if (answer.status !== 200 && !goesOn) {
    answer.close();
    // Asked again, now from the start.
    if (begun.have > 0 && have === 0) throw new HubUnreachable(brokenOff(name, facts, 0, `status ${answer.status}`));
    throw new UserError({
      where: `${name}/${facts.file}`,
      what: "the hub doesn't send it",
      got: `status ${answer.status}`,
      remedy: "run the command again",
    });
  }
  for await (const piece of answer.body()) {
    aboutFile(partial, () => {
      for (let done = 0; done < piece.length;) done += writeSync(descriptor, piece, done);
    });
    have += piece.length;
    report.bytes(piece.length);
    if (facts.size !== undefined && have > facts.size) break;
  }
  return have;
}

function emptied(partial: string): number {
  // The descriptor appends, so it writes at the new end.
  aboutFile(partial, () => closeSync(openSync(partial, "w")));
  return 0;
}

function brokenOff(name: string, { file, size }: HubFileFacts, have: number, got: string): UserError["fault"] {
  return {
    where: `${name}/${file}`,
    what: `the download broke off after ${have} of ${size ?? "?"} bytes`,
    got,
    remedy: "run the command again: it goes on from there",
  };
}

function tooLong(name: string, { file, size }: HubFileFacts, partial: string, have: number): UserError {
  rmSync(partial, { force: true });
  return new UserError({
    where: `${name}/${file}`,
    what: "the hub sends more than it said, and what came was removed",
    expected: `${size ?? "?"} bytes`,
    got: `at least ${have}`,
    remedy: "run the command again",
  });
}

/** Content must be what its name says. Names that are no hash can't be checked, which is said. */
function refuseOther(name: string, { file, etag }: HubFileFacts, partial: string, { warn }: DownloadReport): void {
  const got = /^[0-9a-f]{64}$/.test(etag) ? hashFile(partial) : /^[0-9a-f]{40}$/.test(etag) ? gitBlobHash(partial) : undefined;
  if (got === undefined) warn(`${name}/${file}: the hub names no SHA of it, so only its length was checked`);
  if (got === undefined || got === etag) return;
  rmSync(partial, { force: true });
  throw new UserError({
    where: `${name}/${file}`,
    what: "what came is not what the hub promised, and was removed",
    expected: `hash ${etag}`,
    got,
    remedy: "run the command again; if it stays so, something between here and the hub changes files",
  });
}

/** Git's name of a file: SHA-1 of `blob <bytes>`, a zero, and the content. */
function gitBlobHash(file: string): string {
  return aboutFile(file, () => {
    const hash = createHash("sha1").update(`blob ${statSync(file).size}\0`);
    const chunk = Buffer.allocUnsafe(1024 * 1024);
    const descriptor = openSync(file, "r");
    try {
      for (let count = 1; count > 0;) {
        count = readSync(descriptor, chunk, 0, chunk.length, null);
        hash.update(chunk.subarray(0, count));
      }
      return hash.digest("hex");
    } finally {
      closeSync(descriptor);
    }
  });
}
