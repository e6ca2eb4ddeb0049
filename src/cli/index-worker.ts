/**
 * The worker process of one of several `tandem index`: the first makes the index and has the others embed their parts of the corpus. Not a module to import: it runs when it is loaded. The trap: what the first fetches and finds, the others
 * find; so they look after it has looked.
 */
import { setDevice } from "../engine/info.js";
import { helpMakeIndex, IndexStopped, makeIndex } from "../job/index/make-index.js";
import { workInTeam } from "../job/run/team-worker.js";
import type { WorkerPlace } from "../job/worker-order.js";
import { chosen, type IndexArguments } from "./index-folders.js";
import { madeText } from "./index-text.js";

const { given, place } = JSON.parse(process.argv[2] ?? "") as { readonly given: IndexArguments; readonly place: WorkerPlace };

workInTeam(place, async ({ crew, report, stopRequested }) => {
  const { led } = crew;
  if (led === undefined) throw new Error("one of several processes is alone");
  const among = { localRank: place.localRank, localWorkers: place.localSize, cores: place.cores, isQuiet: true };
  const { folders, faiss } = await crew.inTurnLater(() => chosen(given, report, among));
  if (folders.device !== undefined) setDevice(folders.device);
  const options = { ...folders, faiss, rebuild: given.rebuild, report, stopRequested, led };
  try {
    if (crew.isFirst) {
      led.begin();
      const made = await makeIndex(options);
      led.end(null);
      report({ type: "text", text: madeText(made, given) });
    } else await helpMakeIndex(options);
    return true;
  } catch (error) {
    if (error instanceof IndexStopped) return false;
    throw error;
  }
});
