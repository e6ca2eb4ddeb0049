/**
 * The pair that a run ends with: the last step's, or with `train.checkpoint.load_best` that of the checkpoint with the best validation. Only weights are taken back; the run's state stays where it is. The trap: a run
 * that is resumed after its training comes here again, so it must end with the same pair.
 */
import { UserError } from "../../errors.js";
import { listCheckpoints, loadParameters } from "../../training/checkpoint.js";
import type { OpenRun } from "../run/open-run.js";

/** Loads the best checkpoint's pair where the config wants it, and says so. @throws UserError when that checkpoint is gone */
export function loadBest({ config, places, state, report }: OpenRun): string | undefined {
  const { load_best: isWanted, metric } = config.train.checkpoint;
  if (!isWanted) return undefined;
  const { best } = state.progress;
  if (best === undefined) {
    report({
      type: "warning",
      text: `no validation measured ${metric}: the exported pair is the last one, though train.checkpoint.load_best is set`,
    });
    return undefined;
  }
  const checkpoint = listCheckpoints(places.checkpoints).find(({ step }) => step === best.step);
  if (checkpoint === undefined)
    throw new UserError({
      where: places.checkpoints,
      what: `the best checkpoint, of step ${best.step}, is gone`,
      remedy: "put it back, or set train.checkpoint.load_best=false in the run's config.yaml",
    });
  loadParameters(checkpoint.folder, state, ["retriever", "generator"]);
  const text = `the pair of step ${best.step}, the best by ${best.metric} (${best.value.toFixed(3)})`;
  report({ type: "note", text: `exported and evaluated: ${text}` });
  return text;
}
