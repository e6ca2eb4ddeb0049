/** What the workers of a crew do and find when the first calls the others in the middle of its own work: what crew.test.ts compares. Runs in every process of a group (test/distributed/ranks.ts), which forms a crew of its own. */
import type { ProcessGroup } from "../../src/distributed/process-group.js";
import { joinCrew, type Crew } from "../../src/job/run/crew.js";
import { AdamW } from "../../src/engine/adamw.js";
import { tensor } from "../../src/engine/tensor.js";
import { fingerprint, newRunState } from "../../src/training/run-state.js";

export interface CrewFindings {
  /** What each call added up to, over all workers. */
  readonly sums: readonly number[];
  readonly result: string;
  readonly step: number;
  readonly failed: string;
  /** What calling outside of its turn says. */
  readonly refusal: string;
  /** What is said of equal weights, and of those where the last worker's differ by one bit. */
  readonly weights: readonly string[];
}

const messageOf = (error: unknown): string => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

export default async function program(group: ProcessGroup): Promise<CrewFindings> {
  const { rank, size } = group;
  const place = { rank, size, localRank: rank, localSize: size, address: "127.0.0.1", storeHost: "127.0.0.1" };
  const crew = await joinCrew(place, {
    tell: (port) => void group.gatherValues("port", port),
    ask: () => Promise.resolve(group.gatherValues("port", 0)[0] ?? 0),
  });
  const state = newRunState([], fingerprint({ workers: size, device: "cpu", precision: "f32" }));
  const sums: number[] = [];
  const { led } = crew;
  if (led === undefined) throw new Error("several workers have a led group");
  const together = led.learnAtOnce("together", () => void sums.push(crew.share.total(rank + 1)));
  const calling = (): void => together(null);
  const work = async (): Promise<string> => {
    calling();
    await Promise.resolve();
    state.progress.step = 7;
    calling();
    return "made";
  };
  const result = await crew.byFirst(state, work);
  const failing = (): Promise<never> => {
    calling();
    return Promise.reject(new Error("on purpose"));
  };
  const failed = await crew.byFirst(state, failing).then(() => "", messageOf);
  let refusal = "";
  try {
    calling();
  } catch (error) {
    refusal = messageOf(error);
  }
  const weights = [0, 2 ** -20].map((more) => saidOfWeights(crew, rank === size - 1 ? 1 + more : 1));
  crew.close();
  return { sums, result, step: state.progress.step, failed, refusal, weights };
}

function saidOfWeights(crew: Crew, weight: number): string {
  const parameters = new Map([["weight", tensor([1, weight], { dtype: "f32" })]]);
  const optimiser = new AdamW([{ name: "all", parameters, weightDecay: 0 }]);
  const state = newRunState([{ name: "retriever", parameters, optimiser }], fingerprint({ workers: 2, device: "cpu", precision: "f32" }));
  try {
    crew.requireSameWeights(state);
    return "nothing";
  } catch (error) {
    return messageOf(error);
  }
}
