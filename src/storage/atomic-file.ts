/**
 * One file, written beside its final place and renamed into it: readers see the old content or the new, never half of one.
 * It isn't a lock: of two writers the last one to commit wins. A symbolic link stays and its target is replaced. The trap: bytes that aren't committed are gone, so `commit` must be the last
 * thing that happens, and `abort` belongs in a `finally` (or write `using file = new AtomicFile(path)`).
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { UserError } from "../errors.js";
import { aboutFile, fileFault } from "./file-fault.js";
import { makeFolder } from "./make-folder.js";
import { sweepTemporaries, temporaryBeside } from "./temporary-name.js";

/** Small writes are gathered up to this many bytes: a system call for each JSON line would cost more than the line. */
const bufferBytes = 256 * 1024;

/**
 * A file that comes into being at `commit`. Missing parent folders are made. A device or a pipe (`/dev/stdout`) is written straight to,
 * since there is nothing to be atomic about.
 *
 * @throws UserError when the target is a folder, the disk is full, permission is missing …; the temporary file is gone by then.
 */
export class AtomicFile {
  readonly path: string;
  private readonly target: string;
  private readonly temporary: string | undefined;
  private descriptor: number | undefined;
  private readonly buffer = Buffer.allocUnsafe(bufferBytes);
  private buffered = 0;
  private written = 0;

  constructor(path: string) {
    this.path = path;
    const { target, kind } = aboutFile(path, () => destination(path));
    if (kind === "folder") throw new UserError({ where: path, what: "is a folder, not a file", remedy: "name a file" });
    this.target = target;
    this.temporary = kind === "device" ? undefined : temporaryBeside(target);
    this.descriptor = aboutFile(path, () => {
      if (this.temporary === undefined) return openSync(target, "w");
      makeFolder(dirname(target));
      sweepTemporaries(target);
      return openSync(this.temporary, "wx");
    });
  }

  /** How many bytes have been given to `write` so far: the position of the next one. */
  get position(): number {
    return this.written + this.buffered;
  }

  /** Appends text (as UTF-8) or bytes. The chunk may be reused after the call. */
  write(chunk: Uint8Array | string): void {
    this.opened();
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, "utf8") : chunk;
    if (this.buffered + bytes.length > bufferBytes) this.flush();
    if (bytes.length > bufferBytes) {
      this.put(bytes, undefined);
      this.written += bytes.length;
    } else {
      this.buffer.set(bytes, this.buffered);
      this.buffered += bytes.length;
    }
  }

  /** Overwrites bytes that were written before (a header whose count was not known at the start). Not for devices and pipes. */
  patch(position: number, bytes: Uint8Array): void {
    if (position < 0 || position + bytes.length > this.position) throw new Error("a patch must lie inside what was written");
    this.flush();
    this.put(bytes, position);
  }

  /** Syncs the bytes to the disk, renames the file into place and syncs the folder. */
  commit(): void {
    this.flush();
    const descriptor = this.opened();
    this.guarded(() => {
      if (fstatSync(descriptor).isFile()) fsyncSync(descriptor);
      this.descriptor = undefined;
      closeSync(descriptor);
      if (this.temporary === undefined) return;
      renameSync(this.temporary, this.target);
      syncFolder(dirname(this.target));
    });
  }

  /** Throws the bytes away; the old file stays. Does nothing after a commit or an earlier abort. */
  abort(): void {
    if (this.descriptor === undefined) return;
    closeSync(this.descriptor);
    this.descriptor = undefined;
    if (this.temporary !== undefined) rmSync(this.temporary, { force: true });
  }

  [Symbol.dispose](): void {
    this.abort();
  }

  private opened(): number {
    if (this.descriptor === undefined) throw new Error(`${this.path} was committed or aborted already`);
    return this.descriptor;
  }

  private flush(): void {
    this.opened();
    if (this.buffered === 0) return;
    const bytes = this.buffer.subarray(0, this.buffered);
    this.put(bytes, undefined);
    this.written += bytes.length;
    this.buffered = 0;
  }

  private put(bytes: Uint8Array, position: number | undefined): void {
    const descriptor = this.opened();
    this.guarded(() => {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(descriptor, bytes, done, bytes.length - done, position === undefined ? null : position + done);
      }
    });
  }

  private guarded(body: () => void): void {
    try {
      body();
    } catch (error) {
      this.abort();
      if (this.temporary !== undefined) rmSync(this.temporary, { force: true });
      throw fileFault(this.path, error);
    }
  }
}

/**
 * Where the bytes end up: symbolic links are followed, so that a link to another disk stays a link. What leads into /proc (`/dev/stdout`,
 * `/dev/fd/3`) is a file that somebody holds open: renaming over it would take it away from them.
 */
function destination(path: string): { target: string; kind: "file" | "folder" | "device" } {
  let current = resolve(path);
  for (let hop = 0; hop < 40; hop++) {
    const folder = existsSync(dirname(current)) ? realpathSync(dirname(current)) : dirname(current);
    const target = join(folder, basename(current));
    if (target.startsWith("/proc/")) return { target, kind: "device" };
    const status = lstatSync(target, { throwIfNoEntry: false });
    if (status?.isSymbolicLink() !== true) {
      return { target, kind: status === undefined || status.isFile() ? "file" : status.isDirectory() ? "folder" : "device" };
    }
    current = resolve(folder, readlinkSync(target));
  }
  throw Object.assign(new Error("too many symbolic links"), { code: "ELOOP" });
}

/** Makes a rename in the folder last through a power cut. File systems that can't sync a folder are let be. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && (error.code === "EINVAL" || error.code === "ENOTSUP"))) throw error;
  } finally {
    closeSync(descriptor);
  }
}
