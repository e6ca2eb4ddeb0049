/** The report's rows as tables: what was answered, what was found, and what each row has over the base pair with its p. The figures are report.json's, nothing is computed here. */
import type { Bounds } from "../evaluation/answered.js";
import type { ReportRow } from "../evaluation/baselines.js";
import type { Difference } from "../evaluation/compare-rows.js";
import { markup, type Markup } from "./markup.js";
import { permutationNotes, pText, share, signed, type RunReport } from "./report-text.js";

interface Column {
  readonly head: string;
  readonly cell: (row: ReportRow) => Markup;
}

/** All tables of the rows, with how to read them. */
export function rowTables(report: RunReport): Markup {
  const rows = [...report.rows, ...report.more];
  return markup`${answersTable(rows, report.gold_rep)}
${abstentionTable(rows)}
${retrievalTable(rows, report.k)}
${differencesTable(rows)}
<h3>What the rows are</h3>
<dl class="meanings">${rows.map(
    ({ name, meaning }) => markup`<dt>${name}</dt><dd>${meaning}</dd>
`,
  )}</dl>`;
}

function answersTable(rows: readonly ReportRow[], gold: Readonly<Record<string, number>>): Markup {
  const ns = Object.keys(gold);
  const columns: Column[] = [
    { head: "exact match", cell: (row) => figure(row.em, row.em_interval) },
    { head: "F1", cell: (row) => figure(row.f1, row.f1_interval) },
    { head: "ROUGE-L", cell: (row) => figure(row.rouge_l, row.rouge_l_interval) },
    { head: "answer in context", cell: (row) => figure(row.answer_in_context, row.answer_in_context_interval) },
    ...ns.map((n): Column => ({ head: `rep-${n}`, cell: (row) => figure(row.rep[n], null) })),
  ];
  const foot = markup`<tfoot><tr><th scope="row">gold answers</th><td colspan="4"></td>${ns.map((n) => markup`<td>${share(gold[n])}</td>`)}</tr></tfoot>`;
  return table(
    "answers",
    "Answers. rep-n is the share of repeated n-grams of words; the last line is what the gold answers themselves repeat.",
    columns,
    rows,
    foot,
  );
}

/** How often the unknown answer is given; nothing where none is configured. */
function abstentionTable(rows: readonly ReportRow[]): Markup | undefined {
  const counted = rows.filter(({ abstention }) => abstention !== undefined);
  const said = counted[0]?.abstention?.unknown_answer;
  if (said === undefined) return undefined;
  const columns: Column[] = [
    { head: "questions with an answer", cell: ({ abstention: own }) => markup`${own?.with_answer}` },
    { head: "said", cell: ({ abstention: own }) => figure(own?.rate_with_answer, own?.rate_with_answer_interval) },
    { head: "questions without", cell: ({ abstention: own }) => markup`${own?.without_answer}` },
    { head: "said", cell: ({ abstention: own }) => figure(own?.rate_without_answer, own?.rate_without_answer_interval) },
    { head: "answered", cell: ({ abstention: own }) => markup`${own?.answered}` },
    { head: "exact match of those", cell: ({ abstention: own }) => figure(own?.em_answered, own?.em_answered_interval) },
    { head: "F1 of those", cell: ({ abstention: own }) => figure(own?.f1_answered, own?.f1_answered_interval) },
  ];
  const caption = `How often “${said}” is said, where the passages answer (a gold one, or one that holds an answer by token match) and where they don't.`;
  return table("abstention", caption, columns, counted);
}

function retrievalTable(rows: readonly ReportRow[], k: number): Markup {
  const searching = rows.filter(({ mrr }) => mrr !== null);
  const [first] = searching;
  if (first === undefined)
    return markup`<p>Nothing was searched, or no question has a gold passage: there are no recall, nDCG and MRR.</p>`;
  const ks = Object.keys(first.recall);
  const columns: Column[] = [
    ...ks.map((at): Column => ({ head: `recall@${at}`, cell: (row) => figure(row.recall[at], row.recall_interval[at]) })),
    ...ks.map((at): Column => ({ head: `nDCG@${at}`, cell: (row) => figure(row.ndcg[at], row.ndcg_interval[at]) })),
    { head: `MRR@${Math.max(k, ...ks.map(Number))}`, cell: (row) => figure(row.mrr, row.mrr_interval) },
  ];
  return table("retrieval", `Retrieval, over the ${first.with_gold} questions that have a gold passage.`, columns, searching);
}

function differencesTable(rows: readonly ReportRow[]): Markup {
  const compared = rows.filter(({ against_base: against }) => against !== null);
  const tests = compared.flatMap(({ against_base: against }) => Object.values(against ?? {}));
  if (tests.length === 0) return markup`<p>The base pair wasn't among the rows: there is nothing to compare with.</p>`;
  const metrics = [...new Set(compared.flatMap(({ against_base: against }) => Object.keys(against ?? {})))];
  const shown = metrics.filter((metric) => !/^(recall|ndcg)@/.test(metric) || metric === "recall@1" || metric === deepestNdcg(metrics));
  const columns = shown.map((metric): Column => ({
    head: METRIC_NAMES[metric] ?? metric.replace("ndcg", "nDCG"),
    cell: (row) => difference(row.against_base?.[metric]),
  }));
  return markup`${table("differences", "Against the base pair: the difference with its interval, and p.", columns, compared)}
<p class="note">${permutationNotes(tests).join(" ")}${shown.length < metrics.length ? " The other metrics' tests are in report.json." : ""}</p>`;
}

const METRIC_NAMES: Readonly<Record<string, string>> = {
  em: "exact match",
  f1: "F1",
  rouge_l: "ROUGE-L",
  answer_in_context: "answer in context",
  mrr: "MRR",
};

function deepestNdcg(metrics: readonly string[]): string | undefined {
  return metrics.filter((metric) => metric.startsWith("ndcg@")).at(-1);
}

function table(id: string, caption: string, columns: readonly Column[], rows: readonly ReportRow[], foot?: Markup): Markup {
  return markup`<div class="scroll" role="region" aria-labelledby="${id}-caption" tabindex="0"><table class="figures">
<caption id="${id}-caption">${caption}</caption>
<thead><tr><th scope="col">row</th>${columns.map(({ head }) => markup`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) => markup`<tr><th scope="row">${row.name}</th>${columns.map(({ cell }) => markup`<td>${cell(row)}</td>`)}</tr>
`,
  )}</tbody>${foot}
</table></div>`;
}

function figure(value: number | null | undefined, interval: Bounds | null | undefined): Markup {
  const bounds =
    interval === null || interval === undefined ? undefined : markup` <small>${share(interval[0])}–${share(interval[1])}</small>`;
  return markup`${share(value)}${bounds}`;
}

function difference(test: Difference | undefined): Markup {
  if (test === undefined) return markup`–`;
  const [low, high] = test.interval;
  return markup`${signed(test.difference)} <small>${signed(low)} to ${signed(high)}</small> <small>p = ${pText(test.p)}${test.exact ? "" : "*"}</small>`;
}
