/**
 * Proves the rules of style that no linter knows: files open by saying what they are, the environment is read in few places, and nothing tracked speaks
 * of one machine, of a registry's address or of work to be done some day. Alone: npx vitest run test/docs/style.test.ts
 */
import { readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { repository, trackedFiles } from "./tracked-files.js";

const read = (file: string): string => readFileSync(path.join(repository, file), "utf8");
const sources = trackedFiles().filter((file) => /^(src|test|tools|bench|native|bin|scripts)\//.test(file) && /\.(ts|cc|h|sh)$/.test(file));
const typescript = sources.filter((file) => file.endsWith(".ts") && !file.endsWith(".generated.ts"));
const own = trackedFiles().filter((file) => !/^(test\/fixtures|data)\//.test(file) && file !== "package-lock.json" && isText(file));

function isText(file: string): boolean {
  const bytes = readFileSync(path.join(repository, file));
  return !bytes.subarray(0, 8192).includes(0);
}

/** `file:line: text` of every line that matches. */
function found(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) =>
    read(file)
      .split("\n")
      .flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1}: ${line.trim().slice(0, 120)}`] : [])),
  );
}

describe("every file", () => {
  it("opens with a comment that says what it is", () => {
    const silent = typescript.filter((file) => !/^(#![^\n]*\n)?(\/\*\*|\/\/)/.test(read(file)));
    expect(silent).toEqual([]);
    const others = sources.filter((file) => !file.endsWith(".ts") && !/^(#!.*\n)?(\/\/|\/\*|#)/.test(read(file)));
    expect(others).toEqual([]);
  });

  it("speaks of no machine's own folders", () => {
    // Split so that this line isn't one of them.
    const folders = new RegExp(["(^|[^a-z.])/(root", "work", "farm", "home/[a-z]+", "tmp/bash)(/|\\b)"].join("|"));
    expect(found(own, folders)).toEqual([]);
  });

  it("names no registry's address but the one that set-up must give pip", () => {
    const hosts = new RegExp(
      ["registry\\.npm" + "js", "deb\\.debian" + "\\.org", "pypi" + "\\.org", "files\\.python" + "hosted"].join("|"),
    );
    expect(found(trackedFiles().filter(isText), hosts)).toEqual([]);
  });

  it("leaves no note of work to be done", () => {
    const notes = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|")})\\b`);
    expect(found(own, notes)).toEqual([]);
  });

  it("ends with one line break and has no trailing blanks", () => {
    const ragged = own.filter((file) => file !== "LICENSE" && read(file) !== "" && !/[^\n]\n$/.test(read(file)));
    expect(ragged).toEqual([]);
    expect(
      found(
        own.filter((file) => file !== "LICENSE"),
        /[ \t]+$/,
      ),
    ).toEqual([]);
  });

  it("is smaller than 1.5 MB", () => {
    expect(trackedFiles().filter((file) => statSync(path.join(repository, file)).size > 1_500_000)).toEqual([]);
  });
});

describe("the source", () => {
  const code = typescript.filter((file) => file.startsWith("src/"));

  it("reads the environment only where a process meets it", () => {
    const allowed = /^src\/(config|distributed|cli)\/|^src\/engine\/native\.ts$|^src\/storage\/system-calls\.ts$/;
    expect(
      found(
        code.filter((file) => !allowed.test(file)),
        /process\.env\b/,
      ),
    ).toEqual([]);
  });

  it("exits the process only from the command line and the files of processes", () => {
    expect(
      found(
        code.filter(
          (file) => !/^src\/(cli\/|distributed\/|job\/(worker|run\/team-worker|refresh\/refresh-process|plan\/link-member)\.ts)/.test(file),
        ),
        /process\.exit\(/,
      ),
    ).toEqual([]);
  });

  it("prints only from the command line", () => {
    expect(
      found(
        code.filter((file) => !file.startsWith("src/cli/")),
        /\bconsole\.(log|error|info|warn)\(/,
      ),
    ).toEqual([]);
  });

  it("has no star exports, and no default exports but a worker thread's one function", () => {
    expect(found(code, /^export \*/)).toEqual([]);
    expect(
      found(
        code.filter((file) => !file.endsWith("-worker.ts")),
        /^export default/,
      ),
    ).toEqual([]);
  });

  it("keeps comments free of code and banners", () => {
    expect(found(code, /^\s*\/\/ ?(const|let|var|if \(|for \(|return |import |await ).*[;{]$/)).toEqual([]);
    expect(found(code, /^\s*(\/\/|\*|\/\*)\s*[-=*#]{5,}/)).toEqual([]);
  });

  it("has no files longer than 450 lines, C++ included", () => {
    const files = sources.filter((file) => /^(src|native)\//.test(file) && !file.endsWith(".generated.ts"));
    expect(files.filter((file) => read(file).split("\n").length > 451)).toEqual([]);
  });

  it("has tests that open with a sentence on what they prove", () => {
    const tests = typescript.filter((file) => file.endsWith(".test.ts"));
    expect(tests.length).toBeGreaterThan(5);
    expect(tests.filter((file) => (/^\/\*\*([\s\S]*?)\*\//.exec(read(file))?.[1] ?? "").length < 60)).toEqual([]);
  });
});
