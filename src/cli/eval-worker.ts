/**
 * The worker process of one of several `tandem eval`: the first scores the run and has the others answer some of the questions' batches. Not a module to import: it runs when it is loaded. The trap: each reads the run for itself, so
 * their drivers have compared what they were asked for.
 */
import { engineFacts, setThreads } from "../engine/info.js";
import { ownThreads } from "../job/own-threads.js";
import { evaluateTrained, helpEvaluate } from "../job/report/evaluate-trained.js";
import { workInTeam } from "../job/run/team-worker.js";
import type { WorkerPlace } from "../job/worker-order.js";
import { evaluationText, outputOf, scoredRun, type EvalArguments } from "./eval-run.js";

const { given, place } = JSON.parse(process.argv[2] ?? "") as { readonly given: EvalArguments; readonly place: WorkerPlace };

workInTeam(
  place,
  async ({ crew, report }) => {
    const { led } = crew;
    if (led === undefined) throw new Error("one of several processes is alone");
    const run = await scoredRun(given);
    // Where the config says how many, evaluating takes that.
    const threads = ownThreads({ localWorkers: place.localSize, cores: place.cores }, engineFacts().threads);
    if (threads !== undefined) setThreads(threads);
    const among = { led, localRank: place.localRank };
    if (crew.isFirst) {
      led.begin();
      const evaluation = await evaluateTrained(run, { ...outputOf(given), report, place: among });
      led.end(null);
      report({ type: "text", text: evaluationText(evaluation, given) });
    } else await helpEvaluate(run, among);
    return true;
  },
  { keeps: false },
);
