/**
 * The second process of an asynchronous refresh: it embeds the corpus with a snapshot of the retriever, indexes it, searches the training questions, and ends. Started by index-builder.ts, which sends it a {@link BuildOrder}. Not
 * a module to import: it runs when it is loaded. The traps: signals to the group are the training process's to answer, so they are ignored here; and it ends with the process that started it, for a build that
 * nobody waits for would go on for hours.
 */
import { setThreads } from "../../engine/info.js";
import { UserError } from "../../errors.js";
import { PassageStore } from "../../corpus/passage-store.js";
import { Encoder } from "../../retrieval/encoder.js";
import { systemCalls } from "../../storage/system-calls.js";
import { currentRetriever, searchTraining } from "../index/artefacts.js";
import type { BuildMessage, BuildOrder } from "./build-order.js";
import { EXIT } from "../exit-codes.js";
import { positivesOf } from "../mining/positive-scores.js";

function send(message: BuildMessage): void {
  if (process.connected) process.send?.(message, () => undefined);
}

/** Waits until what was sent has left the process. */
function leave(message: BuildMessage | undefined, code: number): void {
  if (message !== undefined && process.connected && process.send !== undefined) process.send(message, () => process.exit(code));
  else process.exit(code);
}

async function build(order: BuildOrder): Promise<void> {
  const { device, expected, index, indexFolder, retrievalFolder, search, template } = order;
  setThreads(order.threads);
  const encoder = Encoder.load(order.encoder, { ...order.overrides, device });
  const store = PassageStore.open(order.corpus);
  const parts = {
    indexFolder,
    retrievalFolder,
    store,
    template,
    index,
    device,
    report: (message: { readonly type: string }): void => send(message as BuildMessage),
  };
  const { retriever, indexName } = await currentRetriever(parts, encoder, "refresh");
  const { questions, heldOut, k, goldRows } = search;
  const compared = goldRows === undefined ? undefined : { questions, goldRows, metric: index.metric, store, template };
  const positives = compared === undefined ? undefined : positivesOf(encoder, compared);
  const made = await searchTraining(parts, retriever, indexName, { questions, heldOut: new Set(heldOut), k, positives });
  retriever.index.dispose();
  if (made.index !== expected.index || made.retrieval !== expected.retrieval)
    throw new Error(`made ${made.index} and ${made.retrieval} of the snapshot, not ${expected.index} and ${expected.retrieval}`);
}

for (const signal of ["SIGTERM", "SIGUSR2", "SIGINT"] as const) process.on(signal, () => undefined);
// Inside a native call nothing is heard, and FAISS may train for hours.
systemCalls().endWithParent();
process.on("disconnect", () => process.exit(EXIT.requeue));
process.once("message", (order: BuildOrder) => {
  build(order)
    .then(() => leave(undefined, EXIT.finished))
    .catch((error: unknown) => {
      if (error instanceof UserError) leave({ type: "fault", fault: error.fault }, EXIT.userError);
      else {
        process.stderr.write(
          `the process that makes the index failed: this is a bug in Tandem, not in your input\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
        );
        process.exit(EXIT.bug);
      }
    });
});
