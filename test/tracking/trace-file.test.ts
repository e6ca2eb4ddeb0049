/**
 * Proves that a trace is a JSON array however many events it has, that it is numbered after those that are there, and that a disk which takes no more ends the trace with one word to the caller and never throws.
 * Alone: npx vitest run test/tracking/trace-file.test.ts
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import type { UserError } from "../../src/errors.js";
import { TraceFile } from "../../src/tracking/trace-file.js";
import { faultOf, temporaryFolder } from "../storage/bad-input.js";

const EVENT = { name: 'a "name"\n', category: "span", start: 1.7e9 + 0.2504, duration: 2.5, thread: 1 };
const never = (error: UserError): never => {
  throw error;
};

describe("a trace", () => {
  it.each([0, 1, 3000])("of %d events is a JSON array of them behind the names of process and row", (count) => {
    const trace = TraceFile.open(temporaryFolder(), never);
    for (let i = 0; i < count; i++) trace.write(EVENT);
    trace.close();
    const events = JSON.parse(readFileSync(trace.path, "utf8")) as object[];
    expect(events).toHaveLength(count === 0 ? 0 : count + 2);
    if (count > 0)
      expect(events[count + 1]).toEqual({ name: EVENT.name, cat: "span", ph: "X", ts: 1700000000.25, dur: 2.5, pid: process.pid, tid: 1 });
  });

  it("has a device's events in a process of its own, named once", () => {
    const trace = TraceFile.open(temporaryFolder(), never);
    for (const device of [1, 1]) trace.write({ ...EVENT, device });
    trace.close();
    const events = JSON.parse(readFileSync(trace.path, "utf8")) as { pid: number; args?: { name: string } }[];
    expect(events.map(({ pid, args }) => [pid - process.pid, args?.name])).toEqual([
      [2, "cuda:1"],
      [2, "Tandem"],
      [2, undefined],
      [2, undefined],
    ]);
  });

  it("is numbered behind those that are there", () => {
    const folder = temporaryFolder();
    for (const name of ["trace-1.json", "trace-12.json", "trace-x.json", "other"]) writeFileSync(path.join(folder, name), "");
    const trace = TraceFile.open(folder, never);
    trace.close();
    expect(path.basename(trace.path)).toBe("trace-13.json");
  });

  it("where a file stands in its folder's place is refused in one line", () => {
    const file = path.join(temporaryFolder(), "profile");
    writeFileSync(file, "");
    expect(faultOf(() => TraceFile.open(file, never))).toContain(file);
  });
});

describe("a disk that takes no more", () => {
  it("ends the trace; the caller hears of it once, and writing and closing go on without a throw", () => {
    const module = pathToFileURL(path.resolve(import.meta.dirname, "../../dist/src/tracking/trace-file.js")).href;
    const code = `
      const { TraceFile } = await import(${JSON.stringify(module)});
      const trace = TraceFile.open(process.argv[1], ({ message }) => console.log(message));
      for (let i = 0; i < 20_000; i++) trace.write({ name: "event", category: "span", start: i, duration: 1, thread: 1 });
      trace.close();
      console.log("closed");
    `;
    const command = `trap '' XFSZ; ulimit -f 16; exec "$0" "$@"`;
    const words = ["-c", command, process.execPath, "--input-type=module", "-e", code, temporaryFolder()];
    const { status, stdout, stderr } = spawnSync("bash", words, { encoding: "utf8" });
    expect(status, stderr).toBe(0);
    expect(stdout.trimEnd().split("\n")).toEqual([expect.stringMatching(/trace-1\.json: .*size limit/), "closed"]);
  });
});
