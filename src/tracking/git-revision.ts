/**
 * Which source a run was made from: the commit, and what was changed since. Asked of git itself; without git or outside a checkout it is unknown,
 * which is no error. The trap: a package that was installed into somebody else's repository must not report that repository's commit.
 */
import { spawnSync } from "node:child_process";
import { realpathSync } from "node:fs";

/** The commit of a checkout. */
export interface GitRevision {
  readonly revision: string;
  /** Undefined when no branch is checked out. */
  readonly branch: string | undefined;
  /** `git diff` against the commit, when tracked files were changed. */
  readonly changes: string | undefined;
}

/** A larger diff says little and would fill the run directory. */
const longestDiff = 16 * 1024 * 1024;

/** The revision of the checkout whose top folder is `folder`; undefined without git, outside a checkout and before the first commit. */
export function gitRevision(folder: string): GitRevision | undefined {
  const top = git(folder, ["rev-parse", "--show-toplevel"])?.trim();
  if (top === undefined || realpathSync(top) !== realpathSync(folder)) return undefined;
  const revision = git(folder, ["rev-parse", "--verify", "HEAD"])?.trim();
  if (revision === undefined) return undefined;
  const branch = git(folder, ["symbolic-ref", "--short", "--quiet", "HEAD"])?.trim();
  const isChanged = git(folder, ["status", "--porcelain", "--untracked-files=no"]) !== "";
  const changes = isChanged ? (git(folder, ["diff", "--binary", "HEAD"]) ?? "the changes are too large to be kept\n") : undefined;
  return { revision, branch, changes };
}

/** Standard output, or undefined when git failed. A checkout of another user's (a container, a shared disk) is read all the same. */
function git(folder: string, words: readonly string[]): string | undefined {
  const result = spawnSync("git", ["-c", `safe.directory=${folder}`, "--no-optional-locks", ...words], {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: longestDiff,
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 30_000,
  });
  return result.error === undefined && result.status === 0 ? result.stdout : undefined;
}
