/**
 * The gradient audit: before the first step, every loss term must reach every parameter it should. A penalty without a gradient (CoZyRAG's three), a frozen
 * or unused tensor, a retriever that was replaced after its optimiser was made: all train without an error and learn nothing. It proves that a
 * gradient is there, not that it is right; the tests compare with finite differences.
 * The traps: rounding makes a gradient that is zero in theory (key biases) a little off zero, so exemptions go by name, not by size; and a term that had nothing to do in the audited batches is let through, so its rows say
 * `inactive` and {@link inactiveWarnings} says so aloud.
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
  /** Entries of train.schedule that run this very phase; left out where it stands in none. */
  readonly entries?: readonly number[];
  /** `inactive`: no audited batch gave the term anything to do, so whether it reaches the parameter isn't known. */
  readonly status: "alive" | "frozen" | "exempt" | "inactive";
  /** Largest |∂(weight·sum/count)/∂parameter| seen; 0 for what wasn't looked at. */
  readonly largest: number;
  /** Why a pair isn't alive. */
  readonly reason?: string;
}

export interface AuditOptions {
  /** Most batches to look at; the audit stops when every pair is alive. */
  readonly batches: number;
  /** Entries of train.schedule that run this very phase. */
  readonly entries?: readonly number[];
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
      const { entries } = options;
      return { ...row, ...(mode === undefined ? {} : { mode }), ...(entries === undefined ? {} : { entries }) };
    }),
  );
  if (rows.length > 0) return rows;
  throw new UserError({
    where: `phase ${phase.name}${ofEntries(options.entries)}`,
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

/** The audit as text, one line for each term of each entry, and one for each reason why pairs aren't alive, with their names. */
export function auditTable(rows: readonly AuditRow[]): string {
  const lines: string[] = [];
  for (const [term, own] of rowsByTerm(rows)) {
    const alive = own.filter((row) => row.status === "alive");
    const sizes = alive.map((row) => row.largest);
    const range =
      alive.length === 0 ? "" : `, largest entries ${Math.min(...sizes).toExponential(1)} to ${Math.max(...sizes).toExponential(1)}`;
    lines.push(`${term}: ${alive.length} of ${own.length} tensors have a gradient${range}`);
    const reasons = new Set(own.flatMap((row) => (row.reason === undefined ? [] : [`${row.status}: ${row.reason}`])));
    for (const reason of reasons) {
      const names = own.filter((row) => `${row.status}: ${row.reason ?? ""}` === reason).map((row) => row.parameter);
      lines.push(`  ${reason} (${names.length <= 4 ? names.join(", ") : `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`})`);
    }
  }
  return lines.join("\n");
}

/** One line for each term that had nothing to do in any audited batch: the audit proves nothing of it. */
export function inactiveWarnings(rows: readonly AuditRow[], batches: number): string[] {
  return [...rowsByTerm(rows)].flatMap(([term, own]) => {
    const [first] = own.filter(({ status }) => status === "inactive");
    if (first === undefined) return [];
    const looked = batches === 1 ? "the audited batch" : `all ${batches} audited batches`;
    return [`gradient audit: ${term}: inactive in ${looked}: ${first.reason ?? ""}; it trains nothing as long as that is so`];
  });
}

/** Behind a phase's or term's name: where it stands in the schedule. */
export function ofEntries(entries: readonly number[] | undefined): string {
  if (entries === undefined || entries.length === 0) return "";
  const last = entries.at(-1) ?? 0;
  return entries.length === 1 ? `, entry ${last}` : `, entries ${entries.slice(0, -1).join(", ")} and ${last}`;
}

/** The rows of each term in each phase, by what a reader calls it. */
function rowsByTerm(rows: readonly AuditRow[]): Map<string, AuditRow[]> {
  const found = new Map<string, AuditRow[]>();
  for (const row of rows) {
    const name = `${row.phase}/${row.term}${row.mode === undefined ? "" : ` (${row.mode})`}${ofEntries(row.entries)}`;
    found.set(name, [...(found.get(name) ?? []), row]);
  }
  return found;
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
  const where = `gradient audit, phase ${phase}${ofEntries(options.entries)}`;
  if (!Number.isFinite(largest)) {
    throw new UserError({
      where,
      what: `the gradient of ${term} on ${parameter} is no number`,
      expected: "a finite gradient",
      got: String(largest),
    });
  }
  if (largest > 0) return { ...row, status: "alive" };
  if (inactive !== undefined) return { ...row, status: "inactive", reason: inactive };
  throw new UserError({
    where,
    what: `${term} has no gradient on ${parameter}`,
    expected: `a gradient within ${options.batches} batches`,
    got: "0",
    remedy: `set the term's weight to 0, raise train.audit.batches, or declare the pair frozen`,
  });
}
