/**
 * Runs a benchmark against its named peer in the same run: ours and Python's in turn, so that both see the same machine. Prints the ratio of the medians, never a bare time. The trap: the peer is another
 * process, so nothing else may run beside the two.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { engineFacts } from "../src/engine/info.js";

const ROOT = path.join(import.meta.dirname, "..", path.extname(import.meta.filename) === ".js" ? ".." : "");

/** The Python with the reference libraries. */
export function referencePython(): string {
  const python = process.env["TANDEM_REFERENCE_PYTHON"] ?? path.join(ROOT, ".venv-reference/bin/python");
  if (existsSync(python)) return python;
  process.stderr.write("bench: the reference libraries aren't installed; run: bash scripts/test.sh, or set TANDEM_REFERENCE_PYTHON\n");
  process.exit(2);
}

export interface Contest {
  readonly name: string;
  /** What `bench/peer.py` calls it. */
  readonly peer: string;
  /** One piece of work; timed, to the end of its promise where it gives one. */
  readonly ours: () => void | Promise<void>;
  readonly repeats: number;
  /** Rounds of ours and peer in turn. */
  readonly rounds?: number;
  readonly folder?: string;
  /** Given to the peer on standard input. */
  readonly input?: unknown;
}

/** Prints `name: ours … ms, Python … ms, ratio …` (ratio = ours / Python of the medians; below 1 is faster). */
export async function compete({ name, peer, ours, repeats, rounds = 3, folder = "", input }: Contest): Promise<void> {
  const own: number[] = [];
  const theirs: number[] = [];
  await ours();
  await ours();
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < repeats; i++) {
      const start = performance.now();
      await ours();
      own.push((performance.now() - start) / 1000);
    }
    theirs.push(...peerTimes(peer, repeats, folder, input));
  }
  const [mine, other] = [median(own), median(theirs)];
  process.stdout.write(
    `${name}: ours ${(1000 * mine).toFixed(2)} ms, Python ${(1000 * other).toFixed(2)} ms, ratio ${(mine / other).toFixed(3)}\n`,
  );
}

function peerTimes(peer: string, repeats: number, folder: string, input: unknown): number[] {
  const script = path.join(ROOT, "bench/peer.py");
  const run = spawnSync(referencePython(), [script, peer, String(engineFacts().threads), String(repeats), folder], {
    encoding: "utf8",
    input: JSON.stringify(input ?? null),
    maxBuffer: 1 << 26,
  });
  if (run.status !== 0) throw new Error(`bench/peer.py ${peer} failed: ${run.stderr}`);
  return JSON.parse(run.stdout.trim().split("\n").at(-1) ?? "[]") as number[];
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
