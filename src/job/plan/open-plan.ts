/**
 * A run opened for planning: data and first weights made as training would make them, in a temporary run directory that is gone afterwards. It plans nothing. The trap: what training would refuse before its first step is refused here, so
 * whatever is planned can begin.
 */
import { rmSync } from "node:fs";
import { renderYaml } from "../../config/render.js";
import type { TandemConfig } from "../../config/schema.js";
import { SINGLE_PROCESS } from "../../distributed/process-group.js";
import { scratchFolder } from "../../storage/scratch-folder.js";
import { createRunDirectory } from "../../tracking/run-directory.js";
import { collectVersions } from "../../tracking/versions.js";
import { PHASES } from "../phases/phase-maker.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";
import type { Report } from "../reporter.js";
import { closeRun, openRun, type OpenRun } from "../run/open-run.js";
import { checkMetrics, checkTraining } from "../training/check-training.js";
import { ownSeconds } from "./own-clock.js";

/** How long it took to open the run. */
export interface Opening {
  /** Models and questions: whatever doesn't grow with the corpus. */
  readonly seconds: number;
  /** From the corpus's first article on. */
  readonly corpusSeconds: number;
}

/**
 * Opens a run for `body` and takes it away again.
 *
 * @param localWorkers workers on this machine, which share its cores
 * @throws UserError for whatever training would refuse before its first step
 */
export async function withPlannedRun<Result>(
  config: TandemConfig,
  report: Report,
  localWorkers: number,
  body: (run: OpenRun, opening: Opening) => Promise<Result>,
): Promise<Result> {
  const temporary = scratchFolder("plan");
  try {
    const versions = collectVersions();
    const { path: folder } = createRunDirectory(temporary, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
    const began = ownSeconds();
    let corpus = began;
    const timed: Report = (message) => {
      if (message.type === "stage" && message.name === "corpus") corpus = ownSeconds();
      report(message);
    };
    const run = await openRun(config, folder, timed, { workers: 1, localWorkers, isFirst: true, group: SINGLE_PROCESS });
    try {
      const opening = { seconds: corpus - began, corpusSeconds: ownSeconds() - corpus };
      const { train: learned, valid } = run.sets;
      const known = [...PHASES, CLOSED_BOOK];
      for (const text of checkTraining(config, run.schedule, known, learned, run.generator.tokenizer, run.phases.goldCount))
        report({ type: "warning", text });
      checkMetrics(config, valid);
      return await body({ ...run, report }, opening);
    } finally {
      closeRun(run);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
