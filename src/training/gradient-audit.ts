/**
 * The gradient audit: before the first step, every loss term must reach every parameter it should. A penalty without a gradient (CoZyRAG's three), a frozen
 * or unused tensor, a retriever that was replaced after its optimiser was made: all train without an error and learn nothing. It proves that a
 * gradient is there, not that it is right; the tests compare with finite differences.
 * The trap: rounding makes a gradient that is zero in theory (key biases) a little off zero, so exemptions go by name, not by size.
 */
import { noGrad } from "../engine/grad-mode.js";
import { scope } from "../engine/scope.js";
import { gradients, type Tensor } from "../engine/tensor.js";
import { UserError } from "../errors.js";
import type { LossTerm, LossTerms } from "./loss-terms.js";
import type { Exemption, Phase } from "./phase.js";

/** What is known to be without a gradient in the models of src/nn. */
const EXEMPT_BY_RULE: readonly Exemption[] = [
  { parameter: /(^|\.)pooler\./, reason: "the pooler isn't used: embeddings are pooled from the token states" },
  { parameter: /attention\.self\.key\.bias$/, reason: "a key bias shifts all scores of a softmax alike" },
];

export interface AuditRow {
  readonly phase: string;
  readonly term: string;
  readonly parameter: string;
  /** How the term was computed, where it can be in several ways. */
  readonly mode?: string;
  readonly status: "alive" | "frozen" | "exempt";
  /** Largest |∂(weight·sum/count)/∂parameter| seen; 0 for what wasn't looked at. */
  readonly largest: number;
  /** Why a pair is frozen or exempt. */
  readonly reason?: string;
}

export interface AuditOptions {
  /** Most batches to look at; the audit stops when every pair is alive. */
  readonly batches: number;
  /** Pairs that the run declares frozen. */
  readonly frozen?: readonly Exemption[];
  /** Default: what is known of the models of src/nn. */
  readonly exempt?: readonly Exemption[];
}

/**
 * Looks at each loss term × each parameter tensor of a phase over at most `batches` of its batches. Changes no gradient and no parameter.
 * @returns a row for each pair
 * @throws UserError naming the first pair without a gradient, or with one that is no number
 */
export function auditGradients(phase: Phase, { frozen = [], ...given }: AuditOptions): AuditRow[] {
  const options = { ...given, frozen: [...frozen, ...(phase.frozen ?? [])] };
  const largest = new Map<string, Map<string, number>>();
  const inactive = new Map<string, string | undefined>();
  const modes = new Map<string, string>();
  for (let step = 0; step < options.batches; step += 1) {
    scope(() => {
      const terms = phase.losses(phase.batch(step));
      noteInactive(terms, inactive);
      for (const [name, { mode }] of Object.entries(terms)) if (mode !== undefined) modes.set(name, mode);
      measure(phase, terms, largest);
    });
    if (allAlive(largest, options)) break;
  }
  const rows = [...largest].flatMap(([term, byParameter]) =>
    [...byParameter].map(([parameter, size]) => {
      const row = judge(phase.name, term, parameter, size, inactive.get(term), options);
      const mode = modes.get(term);
      return mode === undefined ? row : { ...row, mode };
    }),
  );
  if (rows.length > 0) return rows;
  throw new UserError({
    where: `phase ${phase.name}`,
    what: "there is nothing to audit: no loss term and parameter was seen",
    expected: "train.audit.batches ≥ 1",
  });
}

/** ‖∂(weight·sum/count)/∂θ‖₂ over all parameters of a phase, for each term, on one batch. Changes no gradient. */
export function termGradientNorms<Batch>(phase: Phase<Batch>, batch: Batch): Record<string, number> {
  return scope(() => {
    const norms: Record<string, number> = {};
    for (const { name, found } of gradientsByTerm(phase.parameters, phase.losses(batch))) {
      const squares = found.map((gradient) => (gradient === undefined ? 0 : noGrad(() => gradient.linalgVectorNorm(2).item()) ** 2));
      norms[name] = Math.sqrt(squares.reduce((sum, square) => sum + square, 0));
    }
    return norms;
  });
}

/**
 * Terms whose gradient norm, relative to that of the main term, is 0 (the term does nothing) or above 1 (it drowns the main term): one warning line each.
 */
export function gradientAlarms(norms: Readonly<Record<string, number>>, main: string): string[] {
  const reference = norms[main] ?? 0;
  const lines: string[] = [];
  for (const [name, norm] of Object.entries(norms)) {
    if (name === main) continue;
    if (norm === 0) lines.push(`${name}: its gradient is zero on the probe batch`);
    else if (norm > reference)
      lines.push(`${name}: its gradient is ${(norm / reference).toPrecision(3)} times ${main}'s; lower its weight`);
  }
  return lines;
}

/** The audit as text, one line for each term and status; exempt and frozen pairs by name with their reason. */
export function auditTable(rows: readonly AuditRow[]): string {
  const lines: string[] = [];
  for (const term of new Set(rows.map((row) => `${row.phase}/${row.term}`))) {
    const own = rows.filter((row) => `${row.phase}/${row.term}` === term);
    const alive = own.filter((row) => row.status === "alive");
    const sizes = alive.map((row) => row.largest);
    const range =
      alive.length === 0 ? "" : `, largest entries ${Math.min(...sizes).toExponential(1)} to ${Math.max(...sizes).toExponential(1)}`;
    const mode = own[0]?.mode === undefined ? "" : ` (${own[0].mode})`;
    lines.push(`${term}${mode}: ${alive.length} of ${own.length} tensors have a gradient${range}`);
    const reasons = new Set(own.flatMap((row) => (row.reason === undefined ? [] : [`${row.status}: ${row.reason}`])));
    for (const reason of reasons) {
      const names = own.filter((row) => `${row.status}: ${row.reason ?? ""}` === reason).map((row) => row.parameter);
      lines.push(`  ${reason} (${names.length <= 4 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`})`);
    }
  }
  return lines.join("\n");
}

function gradientsByTerm(parameters: ReadonlyMap<string, Tensor>, terms: LossTerms): { name: string; found: (Tensor | undefined)[] }[] {
  const active = Object.entries(terms).filter(([, term]) => term.weight !== 0);
  return active.map(([name, term]) => ({
    name,
    found: term.count === 0 ? [...parameters].map(() => undefined) : gradientsOf(parameters, term),
  }));
}

function gradientsOf(parameters: ReadonlyMap<string, Tensor>, term: LossTerm): (Tensor | undefined)[] {
  if (typeof term.sum === "number" || !term.sum.requiresGrad) return [...parameters].map(() => undefined);
  const recording = [...parameters.values()].filter((parameter) => parameter.requiresGrad);
  const found = gradients([term.sum.mul(term.weight / term.count)], recording, { retainGraph: true });
  const byHandle = new Map(recording.map((parameter, index) => [parameter.handle, found[index]]));
  return [...parameters.values()].map((parameter) => byHandle.get(parameter.handle));
}

function measure(phase: Phase, terms: LossTerms, largest: Map<string, Map<string, number>>): void {
  const names = [...phase.parameters.keys()];
  for (const { name, found } of gradientsByTerm(phase.parameters, terms)) {
    const byParameter = largest.get(name) ?? new Map<string, number>();
    largest.set(name, byParameter);
    for (const [index, gradient] of found.entries()) {
      const parameter = names[index] ?? "";
      const size = gradient === undefined || gradient.numel === 0 ? 0 : noGrad(() => gradient.abs().amax().item());
      const before = byParameter.get(parameter) ?? 0;
      byParameter.set(parameter, Number.isNaN(size) || Number.isNaN(before) ? NaN : Math.max(size, before));
    }
  }
}

/** A term is inactive if no batch gave it anything to do; the last reason is kept. */
function noteInactive(terms: LossTerms, inactive: Map<string, string | undefined>): void {
  for (const [name, term] of Object.entries(terms)) {
    const wasActive = inactive.has(name) && inactive.get(name) === undefined;
    inactive.set(name, wasActive ? undefined : term.inactive);
  }
}

/** Pairs that needn't be alive don't keep the audit waiting. */
function allAlive(largest: ReadonlyMap<string, ReadonlyMap<string, number>>, options: AuditOptions): boolean {
  return [...largest].every(([term, byParameter]) =>
    [...byParameter].every(([parameter, size]) => size > 0 || exemptionOf(term, parameter, options) !== undefined),
  );
}

function exemptionOf(term: string, parameter: string, options: AuditOptions): { status: "frozen" | "exempt"; reason: string } | undefined {
  const matches = (exemption: Exemption): boolean => exemption.parameter.test(parameter) && (exemption.term?.test(term) ?? true);
  const frozen = options.frozen?.find(matches);
  if (frozen !== undefined) return { status: "frozen", reason: frozen.reason };
  const exempt = (options.exempt ?? EXEMPT_BY_RULE).find(matches);
  return exempt === undefined ? undefined : { status: "exempt", reason: exempt.reason };
}

function judge(
  phase: string,
  term: string,
  parameter: string,
  largest: number,
  inactive: string | undefined,
  options: AuditOptions,
): AuditRow {
  const row = { phase, term, parameter, largest };
  const exemption = exemptionOf(term, parameter, options);
  if (exemption !== undefined) return { ...row, ...exemption };
  const where = `gradient audit, phase ${phase}`;
  if (!Number.isFinite(largest)) {
    throw new UserError({
      where,
      what: `the gradient of ${term} on ${parameter} is no number`,
      expected: "a finite gradient",
      got: String(largest),
    });
  }
  if (largest > 0) return { ...row, status: "alive" };
  if (inactive !== undefined) return { ...row, status: "exempt", reason: inactive };
  throw new UserError({
    where,
    what: `${term} has no gradient on ${parameter}`,
    expected: `a gradient within ${options.batches} batches`,
    got: "0",
    remedy: `set the term's weight to 0, raise train.audit.batches, or declare the pair frozen`,
  });
}
