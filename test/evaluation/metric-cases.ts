/** What the reference libraries say of made-up answers, rankings and differences; made by test/fixtures/metrics/make_cases.py, which names their versions. */
import { readFileSync } from "node:fs";
import path from "node:path";

interface PairedCase {
  readonly differences: readonly number[];
  readonly documents: readonly number[];
  readonly p: number;
}

export interface MetricCases {
  readonly rouge: readonly { readonly prediction: string; readonly answers: readonly string[]; readonly rouge_l: number }[];
  readonly ndcg: readonly {
    readonly ranking: readonly number[];
    readonly gold: readonly number[];
    readonly k: number;
    readonly trec_eval: number;
    readonly sklearn: number | null;
  }[];
  /** `exact`: all sign changes; `drawn`: 200,000 of them. */
  readonly permutation: { readonly exact: readonly PairedCase[]; readonly drawn: readonly PairedCase[] };
}

export function metricCases(): MetricCases {
  const file = path.join(import.meta.dirname, "../fixtures/metrics/cases.json");
  return JSON.parse(readFileSync(file, "utf8")) as MetricCases;
}
