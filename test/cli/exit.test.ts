/**
 * Proves how commands end: which text and code an error gives, and that what escapes a callback ends the same way.
 * Alone: npx vitest run test/cli/exit.test.ts
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { failureCode, failureText } from "../../src/cli/exit.js";
import { UserError } from "../../src/errors.js";

const mistake = new UserError({ where: "conf/x.yaml:3", what: "no\nkey", remedy: "mend it" });

/** Runs a body under runToExit in a process of its own. */
function ended(body: string): { status: number | null; stderr: string; stdout: string } {
  const folder = mkdtempSync(path.join(tmpdir(), "tandem-exit-"));
  const file = path.join(folder, "body.ts");
  const sources = path.resolve(import.meta.dirname, "../../src");
  writeFileSync(
    file,
    `import { runToExit } from "${sources}/cli/exit.ts";\nimport { UserError } from "${sources}/errors.ts";\nvoid runToExit(() => "tandem x", async () => {\n${body}\n});\n`,
  );
  const result = spawnSync(process.execPath, ["--import", import.meta.resolve("tsx"), file], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  return result;
}

describe("an error's text and code", () => {
  it("of the user's mistake is one line and 2", () => {
    expect(failureText("tandem train", mistake)).toBe("tandem train: conf/x.yaml:3: no key; mend it\n");
    expect(failureCode(mistake)).toBe(2);
  });

  it("of a bug keeps the stack and the causes, and is 1", () => {
    const text = failureText("tandem train", new Error("outer", { cause: new RangeError("inner") }));
    expect(text).toMatch(/this is a bug in Tandem, not in your input\nError: outer\n {4}at [^]*caused by: RangeError: inner\n {4}at /);
    expect(failureCode(new Error("x"))).toBe(1);
    expect(failureText("tandem", "thrown text")).toContain("thrown text");
  });
});

describe("a command that fails", () => {
  it("by a mistake exits 2 with its line", () => {
    const { status, stderr, stdout } = ended(`throw new UserError({ where: "f:1", what: "wrong" });`);
    expect([status, stderr, stdout]).toEqual([2, "tandem x: f:1: wrong\n", ""]);
  });

  it("by a mistake in a callback or a forgotten promise exits 2 with its line", () => {
    for (const body of [
      `await new Promise(() => setTimeout(() => { throw new UserError({ where: "f:1", what: "wrong" }); }, 1));`,
      `void Promise.reject(new UserError({ where: "f:1", what: "wrong" })); await new Promise((done) => setTimeout(done, 1000));`,
    ]) {
      const { status, stderr } = ended(body);
      expect([status, stderr]).toEqual([2, "tandem x: f:1: wrong\n"]);
    }
  });

  it("by a bug exits 1 with the stack", () => {
    const { status, stderr } = ended(`const nothing: unknown = undefined; (nothing as { f(): void }).f();`);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^tandem x: this is a bug in Tandem[^]*TypeError[^]*body\.ts/);
  });

  it("keeps what it printed and the code that it chose", () => {
    const { status, stdout, stderr } = ended(`console.log("x".repeat(200000)); process.exitCode = 2;`);
    expect([status, stdout.length, stderr]).toEqual([2, 200001, ""]);
  });
});
