/**
 * Two workers of one thread against one worker of two threads, the same training steps of the same batch; and how much of the gradients' sum is seen in a step. Whole steps of the trainer's own phases, from tokens to the update, in
 * processes that take turns. Prints ratios of medians: examples/s of the two workers over those of the one (above 1: two workers are faster), and the communication that isn't hidden as a share of the step.
 * The trap: nothing else may run beside, and even so single steps differ by a tenth; look at several rounds.
 * Run: npx tsx bench/workers.ts FOLDER [ROUNDS [CASE…]] (a folder of all-MiniLM-L6-v2; cases as `generator-16`, `contrastive-32`)
 */
import { fork, type ChildProcess } from "node:child_process";
import path from "node:path";

export type ToMember =
  | { readonly folder: string; readonly rank: number; readonly size: number; readonly threads: number }
  | { readonly port: number }
  | { readonly kind: "generator" | "contrastive"; readonly batch: number }
  | { readonly what: "together" | "apart" | "bare"; readonly steps: number };
export type FromMember = { readonly port: number } | { readonly costs: readonly Cost[] };
/** Milliseconds of a step. */
export interface Cost {
  readonly clock: number;
  readonly processor: number;
}

const CASES = ["generator-16", "generator-32", "contrastive-16", "contrastive-32"];
/** Steps of each kind in a round. */
const STEPS = 1;

const [folder, rounds = "5", ...chosen] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write("bench/workers.ts: name a folder of all-MiniLM-L6-v2\n");
  process.exit(2);
}

function started(rank: number, size: number, threads: number): ChildProcess {
  const file = path.join(import.meta.dirname, `workers-member${path.extname(import.meta.filename)}`);
  const child = fork(file, [], { env: { ...process.env, OMP_NUM_THREADS: String(threads) } });
  child.once("exit", (code) => {
    if (code !== null && code !== 0) process.exit(code);
  });
  child.send({ folder: folder ?? "", rank, size, threads } satisfies ToMember);
  return child;
}

function told(child: ChildProcess): Promise<FromMember> {
  return new Promise((resolve) => child.once("message", (message) => resolve(message as FromMember)));
}

/** What each step cost that the members were asked to take at once: the time of the last to end, and the processor time of all. */
async function ask(members: readonly ChildProcess[], message: ToMember): Promise<Cost[]> {
  const answers = members.map(told);
  for (const member of members) member.send(message);
  const costs = (await Promise.all(answers)).map((answer) => ("costs" in answer ? answer.costs : []));
  return (costs[0] ?? []).map((_, step) => {
    const each = costs.flatMap((of) => of[step] ?? []);
    return { clock: Math.max(...each.map(({ clock }) => clock)), processor: each.reduce((sum, { processor }) => sum + processor, 0) };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

const WHATS = ["one", "together", "apart", "bare"] as const;

const one = [started(0, 1, 2)];
const two = [started(0, 2, 1), started(1, 2, 1)];
const [first, second] = two as [ChildProcess, ChildProcess];
const opened = await told(first);
if ("port" in opened) second.send(opened);

for (const name of chosen.length > 0 ? chosen : CASES) {
  const [kind, batch] = name.split("-") as ["generator" | "contrastive", string];
  for (const members of [one, two]) await ask(members, { kind, batch: Number(batch) });
  const costs: Record<(typeof WHATS)[number], Cost[]> = { one: [], together: [], apart: [], bare: [] };
  for (let round = 0; round <= Number(rounds); round++) {
    const found = {
      one: await ask(one, { what: "together", steps: STEPS }),
      together: await ask(two, { what: "together", steps: STEPS }),
      apart: await ask(two, { what: "apart", steps: STEPS }),
      bare: await ask(two, { what: "bare", steps: STEPS }),
    };
    // The first round makes what stays.
    if (round > 0) for (const what of WHATS) costs[what].push(...found[what]);
  }
  print(name, costs);
}
for (const child of [...one, ...two]) child.kill();

function print(name: string, costs: Record<(typeof WHATS)[number], Cost[]>): void {
  const clock = (what: keyof typeof costs): number => median(costs[what].map((cost) => cost.clock));
  const processor = (what: keyof typeof costs): number => median(costs[what].map((cost) => cost.processor));
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
