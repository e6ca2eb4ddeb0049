/**
 * One driver of a job as a process of its own: meets the others, tells its parent what it hears, and does what it is told. Not a test: started by those of the meeting and the team.
 * It reads {@link MemberOptions} as its argument.
 */
import type { LaunchPlace } from "../../src/distributed/launch-environment.js";
import { rendezvous } from "../../src/distributed/rendezvous.js";
import type { Member, Team, TeamFailure } from "../../src/distributed/team.js";

export interface MemberOptions {
  readonly place: Pick<LaunchPlace, "rank" | "size" | "host" | "port" | "jobId" | "attempt">;
  readonly version: string;
  readonly configHash: string;
  readonly hostName: string;
  readonly deadline?: number;
  readonly linger?: number;
  readonly beat?: number;
  readonly silence?: number;
}

export type MemberEvent =
  | { readonly type: "started" }
  | { readonly type: "warning"; readonly text: string }
  | { readonly type: "team"; readonly members: readonly Member[] }
  | { readonly type: "error"; readonly name: string; readonly message: string }
  | { readonly type: "failed"; readonly failure: TeamFailure }
  | { readonly type: "stop"; readonly by: Member }
  | { readonly type: "value"; readonly value: unknown };

export type MemberOrder =
  | { readonly do: "abort" | "leave" | "stop" }
  | { readonly do: "share" | "gather"; readonly value: unknown }
  | { readonly do: "step"; readonly step: number }
  | { readonly do: "report"; readonly why: string };

function tell(event: MemberEvent): void {
  process.send?.(event);
}

function tellError(error: unknown): void {
  tell({ type: "error", name: (error as Error).name, message: (error as Error).message });
}

const abort = new AbortController();
let team: Team | undefined;

async function obey(order: MemberOrder): Promise<void> {
  if (order.do === "abort") abort.abort();
  if (team === undefined) return;
  if (order.do === "step") team.noteStep(order.step);
  if (order.do === "report") team.report(order.why);
  if (order.do === "stop") team.broadcastStop();
  if (order.do === "share") tell({ type: "value", value: await team.share(order.value) });
  if (order.do === "gather") tell({ type: "value", value: await team.gather(order.value) });
  if (order.do === "leave") {
    await team.leave();
    process.disconnect();
  }
}

process.on("message", (order) => void obey(order as MemberOrder).catch(tellError));
tell({ type: "started" });
try {
  team = await rendezvous({
    ...(JSON.parse(process.argv[2] ?? "") as MemberOptions),
    warn: (text) => tell({ type: "warning", text }),
    signal: abort.signal,
  });
  tell({ type: "team", members: team.members });
  void team.failed.then((failure) => tell({ type: "failed", failure }));
  void team.stopAsked.then((by) => tell({ type: "stop", by }));
} catch (error) {
  tellError(error);
  // Nothing of a meeting that failed may keep the process: the test waits for its end.
  process.disconnect();
}
