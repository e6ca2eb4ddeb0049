/**
 * The gradient audit of a config without a run: data and first weights are made in a temporary run directory, the phases are audited, and the directory is removed. It trains nothing. The trap: the
 * audit is of the weights that a run would start with; what has been trained since may differ.
 */
import { renderYaml } from "../../config/render.js";
import { rmSync } from "node:fs";
import type { TandemConfig } from "../../config/schema.js";
import { createRunDirectory } from "../../tracking/run-directory.js";
import { collectVersions } from "../../tracking/versions.js";
import { auditCut, type CutRow } from "../../training/cut-audit.js";
import { inactiveWarnings, type AuditRow } from "../../training/gradient-audit.js";
import { readsIndex } from "../../training/schedule.js";
import { PHASES } from "../phases/phase-maker.js";
import { CLOSED_BOOK } from "../phases/phase-parts.js";
import { closeRun, openRun, type OpenRun } from "../run/open-run.js";
import type { Report } from "../reporter.js";
import { scratchFolder } from "../../storage/scratch-folder.js";
import { auditedPhases, auditRows, type AuditedPhase } from "./audited-phases.js";
import { checkTraining } from "./check-training.js";

/** What an audit found. */
export interface ConfigAudit {
  /** A row for each pair of loss term and parameter. */
  readonly pairs: readonly AuditRow[];
  /** Rows for each phase: its step in parts against the whole batch, and where it packs prompts into forward passes, other passes against a single one. */
  readonly cuts: readonly CutRow[];
}

/** Rounding of sums in another order; bf16 has 8 bits. */
const TOLERANCE = { f32: 1e-3, bf16: 0.05 } as const;

/** @throws UserError naming the first pair without a gradient, or the first phase whose step in parts has another gradient */
export async function auditConfig(config: TandemConfig, report: Report): Promise<ConfigAudit> {
  const temporary = scratchFolder("audit");
  try {
    const versions = collectVersions();
    const { path: folder } = createRunDirectory(temporary, { name: config.name, configYaml: renderYaml(config), overrides: [], versions });
    const run = await openRun(config, folder, report);
    try {
      for (const text of checksOf(run)) report({ type: "warning", text });
      const pairs = auditRows(run);
      for (const text of inactiveWarnings(pairs, config.train.audit.batches)) report({ type: "warning", text });
      const tolerance = run.state.fingerprint.precision === "bf16" ? TOLERANCE.bf16 : TOLERANCE.f32;
      return { pairs, cuts: auditedPhases(run).flatMap((audited) => cutsOf(audited, tolerance)) };
    } finally {
      closeRun(run);
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** What training would refuse before its audit, or warn about. */
function checksOf({ config, schedule, sets, generator, phases }: OpenRun): string[] {
  return checkTraining(config, schedule, [...PHASES, CLOSED_BOOK], sets.train, generator.tokenizer, phases.goldCount);
}

function cutsOf({ entries, position, make }: AuditedPhase, tolerance: number): CutRow[] {
  const parts = auditCut(make(inParts), tolerance, { entries });
  if (!readsIndex(position.phase)) return [parts];
  const whole = make((config) => packedBy(config, Number.MAX_SAFE_INTEGER));
  return [
    parts,
    auditCut(
      make((config) => packedBy(config, 1)),
      tolerance,
      { entries, way: "packed", whole },
    ),
  ];
}

/** The reader's prompts in forward passes of so many tokens; a longer prompt has one of its own. */
function packedBy(config: TandemConfig, tokens: number): TandemConfig {
  const { train } = config;
  return { ...config, train: { ...train, reader: { ...train.reader, tokens_at_once: tokens, accumulate: 1 } } };
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
