/**
 * Turns a failed system call on a file into the one line that the user can act on.
 * It isn't a catch-all: a code that no user can mend (a bad descriptor, say) is a bug of ours and keeps its stack.
 */
import { UserError } from "../errors.js";

/** What a code means and what mends it. */
const meanings: Readonly<Record<string, { what: string; remedy: string }>> = {
  ENOENT: { what: "no such file or folder", remedy: "check the path" },
  ENOTDIR: { what: "a part of the path is a file, not a folder", remedy: "check the path" },
  EISDIR: { what: "is a folder, not a file", remedy: "name a file" },
  EEXIST: { what: "exists already", remedy: "name another path or remove it" },
  ENOTEMPTY: { what: "is a folder that isn't empty", remedy: "name another path or remove it" },
  EACCES: { what: "no permission", remedy: "change the owner or the mode, or name another path" },
  EPERM: { what: "not permitted", remedy: "change the owner or the mode, or name another path" },
  EROFS: { what: "the file system is read-only", remedy: "name a path on a writable file system" },
  ENOSPC: { what: "no space left on the device", remedy: "free some space or name a path on another device" },
  EDQUOT: { what: "the disk quota is used up", remedy: "free some space or name a path on another device" },
  EFBIG: { what: "the file would pass the size limit (ulimit -f)", remedy: "raise the limit" },
  ENAMETOOLONG: { what: "the name is too long", remedy: "name a shorter path" },
  ELOOP: { what: "the symbolic links go in a circle", remedy: "check the path" },
  EMFILE: { what: "too many open files in this process", remedy: "raise the limit (ulimit -n)" },
  ENFILE: { what: "too many open files on this machine", remedy: "close some programs" },
  ENOMEM: { what: "not enough memory or too many maps", remedy: "free memory, or raise vm.max_map_count or the limit (ulimit -v)" },
  EBUSY: { what: "in use by the system", remedy: "name another path" },
  ETXTBSY: { what: "a running program", remedy: "name another path" },
  EXDEV: { what: "lies on another device", remedy: "name a path on the same device" },
  EIO: { what: "the device reports an input/output error", remedy: "check the disk" },
  ENXIO: { what: "no such device", remedy: "name a regular file" },
  ENODEV: { what: "the device can't be mapped into memory", remedy: "name a regular file" },
  ENOTREG: { what: "is not a regular file", remedy: "name a regular file" },
  ESTALE: { what: "the network file system lost the file", remedy: "check the path and run again" },
};

/** The system's code of an error (`ENOENT` …), undefined for everything else. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as Error & { code?: unknown };
  return typeof code === "string" ? code : undefined;
}

/** A UserError about `path` when the user can mend the failure; otherwise the error itself, to be thrown on. */
export function fileFault(path: string, error: unknown): unknown {
  if (error instanceof UserError) return error;
  if (systemCode(error) === "ERR_INVALID_ARG_VALUE") {
    return new UserError(
      { where: JSON.stringify(path), what: "the path holds a null character", remedy: "check the path" },
      { cause: error },
    );
  }
  const meaning = meanings[systemCode(error) ?? ""];
  return meaning === undefined ? error : new UserError({ where: path, ...meaning }, { cause: error });
}

/** Runs `body` and says of a failed system call inside it which file it was about. */
export function aboutFile<T>(path: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw fileFault(path, error);
  }
}
