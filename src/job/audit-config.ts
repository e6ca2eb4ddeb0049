/**
 * The gradient audit of a config without a run: data and first weights are made in a temporary run directory, the phases are audited, and the directory is removed. It trains nothing. The trap: the
 * audit is of the weights that a run would start with; what has been trained since may differ.
 */
import { renderYaml } from "../config/render.js";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TandemConfig } from "../config/schema.js";
import { createRunDirectory } from "../tracking/run-directory.js";
import { collectVersions } from "../tracking/versions.js";
import { auditGradients, type AuditRow } from "../training/gradient-audit.js";
import { closeRun, openRun } from "./open-run.js";
import type { Report } from "./reporter.js";

/** A row for each pair of loss term and parameter. @throws UserError naming the first pair without a gradient */
export async function auditConfig(config: TandemConfig, report: Report): Promise<AuditRow[]> {
  const temporary = mkdtempSync(path.join(os.tmpdir(), "tandem-audit-"));
  try {
    const versions = collectVersions();
    const { path: folder } = createRunDirectory(temporary, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
    const run = await openRun(config, folder, report);
    try {
      return run.auditedPhases().flatMap((phase) => auditGradients(phase, { batches: config.train.audit.batches }));
    } finally {
      closeRun(run);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}
