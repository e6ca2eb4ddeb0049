/** The repository's files as git sees them: tracked, or new and not ignored. Not the files of a build, a run or an environment. */
import { execFileSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import path from "node:path";

export const repository = path.resolve(import.meta.dirname, "../..");

/** Paths from the repository's top folder, sorted. */
export function trackedFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repository,
    encoding: "utf8",
  });
  const files = new Set(listed.split("\0").filter((file) => file !== ""));
  return [...files].filter((file) => existsSync(path.join(repository, file)) && statSync(path.join(repository, file)).isFile()).sort();
}
