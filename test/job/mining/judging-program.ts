/** A member of a group that judges pairs with the others; the first leads. What shared-mining.test.ts runs in each process, and alone in its own. */
import path from "node:path";
import { LedGroup } from "../../../src/distributed/led-group.js";
import type { ProcessGroup } from "../../../src/distributed/process-group.js";
import { setThreads } from "../../../src/engine/info.js";
import { shareJudging } from "../../../src/job/mining/shared-mining.js";
import { scorePairs, type JudgeOrder } from "../../../src/job/mining/teacher.js";
import { CrossEncoder } from "../../../src/retrieval/cross-encoder.js";

export interface JudgedTogether {
  /** Each rank's teacher folder. */
  readonly folders: readonly string[];
  readonly kind: JudgeOrder["kind"];
}

export interface JudgedResult {
  /** The leader's. */
  readonly scores: Float32Array | undefined;
  /** Of a second call, outside of the leader's turn. */
  readonly alone: Float32Array | undefined;
  /** Pairs that this member scored for the first call, by its own count. */
  readonly scored: number;
  /** What the leader was told, in its order. */
  readonly progress: readonly number[];
}

/** 400 pairs of several lengths: a dozen batches of a cross-encoder. */
function orderOf(folder: string, kind: JudgeOrder["kind"]): JudgeOrder {
  const questions = Array.from({ length: 40 }, (_, i) => `Who is the mayor of town ${i}? ${"Really? ".repeat(i % 4)}`);
  const passages = Array.from({ length: 50 }, (_, i) => `The mayor of town ${i} climbs. ${"It rains. ".repeat(i % 9)}`);
  const pairs = Array.from({ length: 400 }, (_, i) => ({ question: i % 40, passage: (7 * i) % 50 }));
  return { path: folder, kind, questions, passages, pairs };
}

export default async function program(group: ProcessGroup, { folders, kind }: JudgedTogether): Promise<JudgedResult> {
  setThreads(1);
  const counted = countScored();
  const folder = folders[group.rank] ?? "";
  // Every rank calls it by one name, as nodes with disks of their own do.
  if (group.size > 1) process.chdir(path.dirname(folder));
  const order = orderOf(group.size > 1 ? path.basename(folder) : folder, kind);
  if (group.size === 1) return { scores: scorePairs(order, "cpu"), alone: undefined, scored: counted(), progress: [] };
  const led = new LedGroup(group);
  const judge = shareJudging(led, "cpu");
  if (group.rank > 0) {
    await led.follow();
    return { scores: undefined, alone: undefined, scored: counted(), progress: [] };
  }
  const progress: number[] = [];
  led.begin();
  const scores = judge(order, "cpu", (pairs) => progress.push(pairs));
  const scored = counted();
  led.end(null);
  return { scores, alone: judge(order, "cpu"), scored, progress };
}

/** Counts the pairs that cross-encoders of this process score from here on. */
function countScored(): () => number {
  let scored = 0;
  const load = CrossEncoder.load.bind(CrossEncoder);
  CrossEncoder.load = (...given) => {
    const teacher = load(...given);
    const score = teacher.score.bind(teacher);
    teacher.score = (...asked) => {
      const scores = score(...asked);
      // A model's score is never 0 to the bit.
      scored += scores.filter((value) => value !== 0).length;
      return scores;
    };
    return teacher;
  };
  return () => scored;
}
