/**
 * The workers of one run, as one of them sees them. All train; the first alone writes, measures and speaks, and the others take over what it decided. This file knows no phase and no file.
 * The trap: what only the first does takes long and may fail, while the others wait in a collective. So its outcome is always told: its progress, its alarm, or that it failed, upon which the others wait to be ended by their drivers; a worker
 * that left by itself would be taken for the one that failed.
 */
import { LedGroup } from "../../distributed/led-group.js";
import { openProcessGroup, openStore, SINGLE_PROCESS, type ProcessGroup } from "../../distributed/process-group.js";
import type { Fault } from "../../errors.js";
import { AlarmError } from "../../training/alarms.js";
import { groupShare } from "../../training/group-share.js";
import type { Progress, RunState } from "../../training/run-state.js";
import { WHOLE, type Share } from "../../training/share.js";
import type { WorkerPlace } from "../worker-order.js";
import { requireSameWeights } from "./weight-hash.js";

export interface Crew {
  readonly share: Share;
  readonly group: ProcessGroup;
  readonly isFirst: boolean;
  /** By which the first worker asks the others for their part of the work of {@link byFirst}; none where there are no others. */
  readonly led?: LedGroup;
  /** Work of the first worker; its result and its progress are all workers'. What it throws, all throw: an alarm as it is. The others do meanwhile what it asks them for. */
  byFirst<Result>(state: RunState, work: () => Promise<Result>): Promise<Result>;
  /** The first worker's turn, then the others': what the first makes, the others find. */
  inTurn<Result>(work: () => Result): Result;
  /** {@link inTurn}; meanwhile the others do what the first asks them for. */
  inTurnLater<Result>(work: () => Result | Promise<Result>): Promise<Result>;
  /** @throws UserError when another worker has other weights */
  requireSameWeights(state: RunState): void;
  close(): void;
}

/** The only worker. */
export const ALONE: Crew = {
  share: WHOLE,
  group: SINGLE_PROCESS,
  isFirst: true,
  byFirst: (_, work) => work(),
  inTurn: (work) => work(),
  inTurnLater: async (work) => work(),
  requireSameWeights: () => undefined,
  close: () => undefined,
};

/** The first worker failed: whoever started this one will end it. */
export class FirstFailed extends Error {
  override readonly name = "FirstFailed";
}

/** Milliseconds that a worker waits for the others in one call: a validation of the first may take hours, and who is gone is noticed by the drivers. */
const PATIENCE = 7 * 24 * 3600 * 1000;
/** Milliseconds for all workers to come together. */
const MEETING = 600_000;

/**
 * Joins the other workers.
 *
 * @param storePort where the first worker's store listens; for the first itself, which opens it, what is to be told its port
 */
export async function joinCrew(place: WorkerPlace, storePort: { tell: (port: number) => void; ask: () => Promise<number> }): Promise<Crew> {
  const { rank, size, address, storeHost } = place;
  if (size === 1) return ALONE;
  const isFirst = rank === 0;
  const port = isFirst ? 0 : await storePort.ask();
  const store = openStore({ host: storeHost, port, isServer: isFirst, timeout: MEETING });
  if (isFirst) storePort.tell(store.port);
  const group = openProcessGroup({ store, name: "workers", rank, size, address, timeout: PATIENCE });
  return crewOf(group, () => {
    group.close();
    store.close();
  });
}

/** What the first worker tells after its turn. */
type Outcome<Result> =
  | { readonly type: "done"; readonly result: Result; readonly progress: Progress | undefined }
  | {
      readonly type: "alarm";
      readonly step: number;
      readonly alarms: readonly string[];
      readonly action: "stop" | "roll_back";
      readonly fault: Fault;
      readonly progress: Progress | undefined;
    }
  | { readonly type: "failed" };

/** @param close what the group stands on */
function crewOf(group: ProcessGroup, close: () => void): Crew {
  const share = groupShare(group);
  const led = new LedGroup(group);
  const isFirst = share.rank === 0;
  const wait = (): void => {
    if (share.ofFirst<Outcome<null> | undefined>(undefined)?.type === "failed") throw new FirstFailed("the first worker failed");
  };
  const failed = (): void => void share.ofFirst<Outcome<null>>({ type: "failed" });
  const done = (): void => void share.ofFirst<Outcome<null>>({ type: "done", result: null, progress: undefined });
  return {
    share,
    group,
    isFirst,
    led,
    byFirst: async <Result>(state: RunState, work: () => Promise<Result>): Promise<Result> =>
      isFirst ? shareOutcome(led, state, work) : takeOver(led, state),
    inTurn: (work) => {
      if (!isFirst) {
        wait();
        return work();
      }
      let result;
      try {
        result = work();
      } catch (error) {
        failed();
        throw error;
      }
      done();
      return result;
    },
    inTurnLater: async (work) => {
      if (!isFirst) {
        const outcome = (await led.follow()) as Outcome<null>;
        if (outcome.type === "failed") throw new FirstFailed("the first worker failed");
        return work();
      }
      led.begin();
      try {
        const result = await work();
        led.end({ type: "done", result: null, progress: undefined } satisfies Outcome<null>);
        return result;
      } catch (error) {
        if (led.isLed) led.end({ type: "failed" } satisfies Outcome<null>);
        throw error;
      }
    },
    requireSameWeights: (state) => requireSameWeights(group, state),
    close: () => {
      share.close();
      close();
    },
  };
}

async function shareOutcome<Result>(led: LedGroup, { progress }: RunState, work: () => Promise<Result>): Promise<Result> {
  const before = JSON.stringify(progress);
  // Most turns change nothing, and a step's is told after every step.
  const changed = (): Progress | undefined => (JSON.stringify(progress) === before ? undefined : progress);
  const tell = (outcome: Outcome<Result>): void => led.end(outcome);
  led.begin();
  try {
    const result = await work();
    tell({ type: "done", result, progress: changed() });
    return result;
  } catch (error) {
    if (error instanceof AlarmError) {
      const { step, alarms, action, fault } = error;
      tell({ type: "alarm", step, alarms, action, fault, progress: changed() });
    } else tell({ type: "failed" });
    throw error;
  }
}

async function takeOver<Result>(led: LedGroup, state: RunState): Promise<Result> {
  const outcome = (await led.follow()) as Outcome<Result>;
  if (outcome.type === "failed") throw new FirstFailed("the first worker failed");
  if (outcome.progress !== undefined) replaceProgress(state.progress, outcome.progress);
  if (outcome.type === "alarm") throw new AlarmError(outcome.step, [...outcome.alarms], outcome.action, outcome.fault);
  return outcome.result;
}

/** What JSON leaves out is undefined. */
function replaceProgress(own: Progress, told: Progress): void {
  for (const key of Object.keys(own) as (keyof Progress)[]) Object.assign(own, { [key]: told[key] });
}
