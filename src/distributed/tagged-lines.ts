/** The output of a process beside the first one, line by line on standard error with its name before each. The trap: whole lines only, or two processes would write into each other's. */
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** @param hear told each line as it came */
export function tagLines({ stdout, stderr }: ChildProcess, tag: string, hear?: (line: string) => void): void {
  for (const stream of [stdout, stderr]) {
    if (stream === null) continue;
    createInterface(stream).on("line", (line) => {
      hear?.(line);
      process.stderr.write(`[${tag}] ${line}\n`);
    });
  }
}
