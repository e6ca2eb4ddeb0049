/**
 * Back to the best checkpoint, and on with lower rates: what an alarm may ask for. It decides nothing; the alarm has. The trap: a kill in the middle. First the best checkpoint's state is written anew with the roll-back in it, then the
 * newer checkpoints are removed, newest first; a run that is resumed in between goes on from a newer one, meets the same alarm at the same step, and finds the roll-back written already.
 */
import { AlarmError } from "../../training/alarms.js";
import { listCheckpoints, loadCheckpoint, removeCheckpointsAfter, saveCheckpoint } from "../../training/checkpoint.js";
import { rateScale, type RollBack } from "../../training/run-state.js";
import type { OpenRun } from "../run/open-run.js";

/**
 * Puts the run's state back to its best checkpoint.
 *
 * @param isFirst another worker than the first only reads what the first has written
 * @throws AlarmError, to stop, when there is no validated checkpoint or the run was rolled back often enough
 */
export function rollBack({ config, places, state, report }: OpenRun, alarm: AlarmError, isFirst = true): void {
  const { factor: rate, at_most: most } = config.train.alarms.roll_back;
  const { best, rollBacks } = state.progress;
  const target = best === undefined ? undefined : listCheckpoints(places.checkpoints).find(({ step }) => step === best.step);
  if (best === undefined)
    throw isOfStep(alarm)
      ? stopped(
          alarm,
          "it was to be rolled back, but no checkpoint was validated yet",
          "validate earlier, or set the alarm's action to warn",
        )
      : stopped(
          alarm,
          "it was to be rolled back, but it rang at the first validation, and there is no earlier state to go back to",
          "loosen the alarm's bound or set its action to warn: in the run's config.yaml, then tandem train --resume <run>",
        );
  if (target === undefined)
    throw stopped(
      alarm,
      `it was to be rolled back, but the best checkpoint, of step ${best.step}, is gone`,
      "keep it, or set the alarm's action to warn",
    );
  if (rollBacks.length >= most)
    throw stopped(
      alarm,
      `it was rolled back ${rollBacks.length} times already`,
      "start a new run with a lower learning rate or another seed",
    );
  const made: RollBack = { at: alarm.step, to: best.step, rate };
  loadCheckpoint(target.folder, state);
  if (!isFirst) return;
  // A kill in the middle left it there, and the newer checkpoint that the run was resumed from doesn't know of it.
  const isWritten = state.progress.rollBacks.length > rollBacks.length;
  if (!isWritten) state.progress.rollBacks = [...rollBacks, made];
  saveCheckpoint(places.checkpoints, state);
  removeCheckpointsAfter(places.checkpoints, best.step);
  report({
    type: "warning",
    text: `rolled back from step ${made.at} to step ${made.to} (${best.metric} ${best.value.toFixed(3)}) because of ${alarm.alarms.join(", ")}; learning rates are multiplied by ${rateScale(state.progress)} from here on`,
  });
}

/** Rung by a step's loss or gradient, not by what a validation found. */
function isOfStep({ alarms }: AlarmError): boolean {
  return alarms.some((name) => name === "loss_spike" || name === "not_a_number");
}

function stopped(alarm: AlarmError, why: string, remedy: string): AlarmError {
  return new AlarmError(alarm.step, alarm.alarms, "stop", { ...alarm.fault, what: `${alarm.fault.what}; ${why}`, remedy });
}
