/** One process of {@link runRanks}: joins the group, runs the program, sends what it returned. Not a module to import: it runs when it is loaded. */
import { openProcessGroup, openStore, type Store } from "../../src/distributed/process-group.js";
import type { FromRank, RankProgram, ToRank } from "./ranks.js";

const HOST = "127.0.0.1";
const TIMEOUT = 60_000;

let order: Extract<ToRank, { program: string }> | undefined;
let port: number | undefined;
process.on("message", (message) => {
  const told = message as ToRank;
  if ("program" in told) order = told;
  else port = told.port;
  if (order !== undefined && (order.rank === 0 || port !== undefined)) void run(order, port);
});

function send(message: FromRank): Promise<void> {
  return new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
}

async function run({ program, rank, size, input }: Extract<ToRank, { program: string }>, at: number | undefined): Promise<void> {
  try {
    const store: Store = openStore({ host: HOST, port: at ?? 0, isServer: rank === 0, timeout: TIMEOUT });
    if (rank === 0) await send({ port: store.port });
    const group = openProcessGroup({ store, name: "test", rank, size, address: HOST, timeout: TIMEOUT });
    const { default: body } = (await import(program)) as { default: RankProgram<unknown, unknown> };
    const result = await body(group, input);
    group.barrier();
    await send({ result });
  } catch (error) {
    await send({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
