/**
 * What the penalties' probe looks at in each entry of the schedule: always the same gold contexts at their full length, whatever the curriculum shows meanwhile, with the loss and the penalties of the entry that is being
 * trained. The trap: an entry's own batch would make its counts differ from those of the entry before, though the model wrote the same.
 */
import { configOfEntry, takesPenalties, trainsByAnswers } from "../../config/phase-settings.js";
import { probePenalties, type ProbeOptions } from "../../training/penalty-probe.js";
import { plannedSteps } from "../../training/schedule.js";
import type { OpenRun } from "../run/open-run.js";

type ProbedRun = Pick<OpenRun, "config" | "phases" | "generator" | "schedule">;

/** Probes, and tells each alarm once. */
export class EntryProbe {
  readonly #run: ProbedRun;
  /** Made once for entries that are penalised alike. */
  readonly #made = new Map<string, Pick<ProbeOptions, "phase" | "batch">>();
  readonly #alarmed = new Set<string>();

  constructor(run: ProbedRun) {
    this.#run = run;
  }

  /** Whether an entry trains the generator, so that there is something to probe. */
  isProbed(entry: number): boolean {
    const phase = this.#run.config.train.schedule[entry]?.phase;
    return phase === "generator" || phase === "joint";
  }

  /** The figures of an entry, and what is to be warned about for the first time. */
  async probe(entry: number): Promise<{ figures: Readonly<Record<string, number>>; warnings: string[] }> {
    const { config, generator } = this.#run;
    const key = this.#keyOf(entry);
    const { figures, alarms } = await probePenalties({
      ...this.#phaseOf(entry, key),
      model: generator.model,
      eosId: generator.eosId,
      examples: config.train.audit.examples,
      maxNewTokens: config.eval.max_new_tokens,
      n: configOfEntry(config, entry).train.penalties.ngram_repeat.n,
    });
    const warnings = alarms.flatMap((alarm) => {
      const about = `${key} ${alarm.split(":")[0] ?? alarm}`;
      if (this.#alarmed.has(about)) return [];
      this.#alarmed.add(about);
      return [`train.schedule.${entry}: penalty ${alarm}`];
    });
    return { figures, warnings };
  }

  #phaseOf(entry: number, key: string): Pick<ProbeOptions, "phase" | "batch"> {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const { phases, schedule } = this.#run;
    const steps = Math.max(1, plannedSteps(schedule.filter(({ phase }) => phase === "generator")));
    const phase = phases.probed(entry, steps);
    const made = { phase, batch: phase.batch(steps - 1) };
    this.#made.set(key, made);
    return made;
  }

  /** Alike for entries whose probe is the same. */
  #keyOf(entry: number): string {
    const { config } = this.#run;
    const { penalties, generator } = configOfEntry(config, entry).train;
    const own = trainsByAnswers(config, entry) ? [generator.copy_weight, generator.label_smoothing] : [];
    return JSON.stringify([takesPenalties(config, entry) ? penalties : null, penalties.ngram_repeat.n, ...own]);
  }
}
