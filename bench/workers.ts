/**
 * Two workers of one thread against one worker of two threads, the same training steps of the same batch; and how much of the gradients' sum is seen in a step. Whole steps of the trainer's own phases, from tokens to the update, in
 * processes that take turns. Prints ratios of medians: examples/s of the two workers over those of the one (above 1: two workers are faster), and the communication that isn't hidden as a share of the step.
 * The traps: whatever else runs is told from a step by the machine's own count, and a step beside which others had more than a tenth of it is left out, so on a busy machine this may end without figures; and single steps differ by
 * a tenth, so the figures are medians.
 * Run: npx tsx bench/workers.ts FOLDER [STEPS [CASE…]] (a folder of all-MiniLM-L6-v2; cases as `generator-16`, `contrastive-32`)
 */
import { fork, type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { workerEnvironment } from "../src/distributed/worker-environment.js";

export type ToMember =
  | { readonly folder: string; readonly rank: number; readonly size: number; readonly threads: number }
  | { readonly port: number }
  | { readonly kind: "generator" | "contrastive"; readonly batch: number }
  | { readonly what: "together" | "apart" | "bare" };
export type FromMember = { readonly port: number } | { readonly cost: Cost };
/** Milliseconds of a step. */
export interface Cost {
  readonly clock: number;
  readonly processor: number;
}

const CASES = ["generator-16", "generator-32", "contrastive-16", "contrastive-32"];
/** A step counts if others had less than this share of the machine's cores. */
const FOREIGN = 0.1;
/** Rounds, for each step that is to count, after which it is given up. */
const MOST = 6;
/** Milliseconds between two steps, for whoever else works here. */
const PAUSE = 2000;
const WHATS = ["one", "together", "apart", "bare"] as const;
type What = (typeof WHATS)[number];

const [folder, steps = "5", ...chosen] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write("bench/workers.ts: name a folder of all-MiniLM-L6-v2\n");
  process.exit(2);
}

function started(rank: number, size: number, threads: number): ChildProcess {
  const file = path.join(import.meta.dirname, `workers-member${path.extname(import.meta.filename)}`);
  const child = fork(file, [], { env: { ...workerEnvironment(), OMP_NUM_THREADS: String(threads) } });
  child.once("exit", (code) => {
    if (code !== null && code !== 0) process.exit(code);
  });
  child.send({ folder: folder ?? "", rank, size, threads } satisfies ToMember);
  return child;
}

function told(child: ChildProcess): Promise<FromMember> {
  return new Promise((resolve) => child.once("message", (message) => resolve(message as FromMember)));
}

/** What a step cost that the members were asked to take at once: the time of the last to end, the processor time of all, and how much of the machine's was somebody else's. */
async function ask(members: readonly ChildProcess[], message: ToMember): Promise<Cost & { foreign: number }> {
  const [start, before] = [performance.now(), busy()];
  const answers = members.map(told);
  for (const member of members) member.send(message);
  const costs = (await Promise.all(answers)).flatMap((answer) => ("cost" in answer ? [answer.cost] : []));
  const processor = costs.reduce((sum, cost) => sum + cost.processor, 0);
  const others = (busy() - before - processor) / ((performance.now() - start) * availableParallelism());
  await sleep(PAUSE);
  return { clock: Math.max(...costs.map(({ clock }) => clock)), processor, foreign: others };
}

/** Milliseconds that all cores have worked so far. */
function busy(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .split(/\s+/)
    .map(Number);
  return 10 * (user + nice + system + irq + soft + steal);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const one = [started(0, 1, 2)];
const two = [started(0, 2, 1), started(1, 2, 1)];
const [first, second] = two as [ChildProcess, ChildProcess];
const opened = await told(first);
if ("port" in opened) second.send(opened);

for (const name of chosen.length > 0 ? chosen : CASES) {
  const [kind, batch] = name.split("-") as ["generator" | "contrastive", string];
  for (const members of [one, two]) await ask(members, { kind, batch: Number(batch) });
  const costs: Record<What, Cost[]> = { one: [], together: [], apart: [], bare: [] };
  const fewest = (): number => Math.min(...WHATS.map((what) => costs[what].length));
  for (let round = 0; fewest() < Number(steps) && round < MOST * Number(steps); round++) {
    for (const what of WHATS) {
      const { foreign, ...cost } = await (what === "one" ? ask(one, { what: "together" }) : ask(two, { what }));
      // The first round makes what stays. The sum alone is too short for the machine's count, which goes by hundredths of a second.
      if (round > 0 && (foreign < FOREIGN || what === "bare")) costs[what].push(cost);
    }
  }
  print(name, costs);
}
for (const child of [...one, ...two]) child.kill();

function print(name: string, costs: Record<What, Cost[]>): void {
  const clock = (what: What): number => median(costs[what].map((cost) => cost.clock));
  const processor = (what: What): number => median(costs[what].map((cost) => cost.processor));
  const [whole, together, apart] = [clock("one"), clock("together"), clock("apart")];
  const share = (seen: number, of: number): string => `${((100 * seen) / of).toFixed(1)} %`;
  const work = processor("together");
  const lines = [
    `${name}: one worker of 2 threads ${whole.toFixed(0)} ms, two of 1 thread ${together.toFixed(0)} ms, ratio of examples/s ${(whole / together).toFixed(3)}`,
    `  not hidden of the gradients' sum: ${(together - apart).toFixed(0)} ms (${share(together - apart, together)} of the step by the clock, ${share(work - processor("apart"), work)} of its processor time)`,
    `  the sum alone: ${clock("bare").toFixed(0)} ms; processor time of both workers in a step: ${work.toFixed(0)} ms, of the one worker: ${processor("one").toFixed(0)} ms`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}
