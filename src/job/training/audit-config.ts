/**
 * The gradient audit of a config without a run: data and first weights are made in a temporary run directory, the phases are audited, and the directory is removed. It trains nothing. The trap: the
 * audit is of the weights that a run would start with; what has been trained since may differ.
 */
import { renderYaml } from "../../config/render.js";
import { rmSync } from "node:fs";
import path from "node:path";
import type { TandemConfig } from "../../config/schema.js";
import { createRunDirectory } from "../../tracking/run-directory.js";
import { collectVersions } from "../../tracking/versions.js";
import { auditCut, type CutRow } from "../../training/cut-audit.js";
import { auditGradients, type AuditRow } from "../../training/gradient-audit.js";
import { closeRun, openRun } from "../run/open-run.js";
import type { Report } from "../reporter.js";
import { scratchFolder } from "../../storage/scratch-folder.js";

/** What an audit found. */
export interface ConfigAudit {
  /** A row for each pair of loss term and parameter. */
  readonly pairs: readonly AuditRow[];
  /** A row for each phase: its step in parts against the whole batch. */
  readonly cuts: readonly CutRow[];
}

/** Rounding of sums in another order; bf16 has 8 bits. */
const TOLERANCE = { f32: 1e-3, bf16: 0.05 } as const;

/** @throws UserError naming the first pair without a gradient, or the first phase whose step in parts has another gradient */
export async function auditConfig(given: TandemConfig, report: Report): Promise<ConfigAudit> {
  const config = inParts(given);
  const temporary = scratchFolder("audit");
  try {
    const versions = collectVersions();
    const { path: folder } = createRunDirectory(temporary, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
    const run = await openRun(config, folder, report);
    try {
      const phases = run.auditedPhases();
      const pairs = phases.flatMap((phase) => auditGradients(phase, { batches: config.train.audit.batches }));
      const tolerance = run.state.fingerprint.precision === "bf16" ? TOLERANCE.bf16 : TOLERANCE.f32;
      return { pairs, cuts: phases.map((phase) => auditCut(phase, tolerance)) };
    } finally {
      closeRun(run);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Every step in two parts at least: one in a single part would be compared with itself. */
function inParts(config: TandemConfig): TandemConfig {
  const { generator, contrastive, reader } = config.train;
  const cut = <Section extends { readonly accumulate: number }>(section: Section): Section => ({
    ...section,
    accumulate: Math.max(2, section.accumulate),
  });
  return { ...config, train: { ...config.train, generator: cut(generator), contrastive: cut(contrastive), reader: cut(reader) } };
}
