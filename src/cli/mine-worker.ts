/**
 * The worker process of one of several `tandem mine`: the first mines and has the others search their rows of the index and judge some of the teacher's batches. Not a module to import: it runs when it is loaded. The trap: each reads the
 * folders for itself, so their drivers have compared what they were asked for.
 */
import { engineFacts, setDevice, setThreads } from "../engine/info.js";
import { shareMining } from "../job/mining/shared-mining.js";
import { ownThreads } from "../job/own-threads.js";
import { workInTeam } from "../job/run/team-worker.js";
import type { WorkerPlace } from "../job/worker-order.js";
import { mined, mineText, sourcesOf, type MineArguments } from "./mine-run.js";

const { given, place } = JSON.parse(process.argv[2] ?? "") as { readonly given: MineArguments; readonly place: WorkerPlace };

workInTeam(
  place,
  async ({ crew, report }) => {
    const { led } = crew;
    if (led === undefined) throw new Error("one of several processes is alone");
    const sources = await sourcesOf(given, { warn: () => undefined, localRank: place.localRank });
    const threads = sources.config.threads ?? ownThreads({ localWorkers: place.localSize, cores: place.cores }, engineFacts().threads);
    if (threads !== undefined) setThreads(threads);
    const { device = "cpu", search } = sources.folders;
    setDevice(device);
    const help = shareMining(led, search, device);
    if (crew.isFirst) {
      led.begin();
      const made = await mined(given, sources, report, help);
      led.end(null);
      report({ type: "text", text: mineText(made, given) });
    } else await led.follow();
    return true;
  },
  { keeps: false },
);
