/**
 * The report as plain text: one line a row, intervals, what each row means, and the one sentence that says whether training the retriever helped. The figures are report.json's; nothing is
 * computed here but a difference. The trap: a retriever can end up worse than it started, and the text must say so as plainly as the opposite.
 */
import type { ReportRow } from "../evaluation/baselines.js";

/** `report.json`. */
export interface RunReport {
  readonly name: string;
  readonly split: string;
  readonly questions: number;
  readonly passages: number;
  /** Passages that the generator reads. */
  readonly k: number;
  readonly confidence: number;
  readonly rows: readonly ReportRow[];
  /** Rows beside the six: the trained generator without any passage. */
  readonly more: readonly ReportRow[];
  readonly seconds: Readonly<Record<string, number>>;
}

/** MRR counts a gold passage down to the deepest rank that was searched, and says which. */
function headsOf({ k, rows }: RunReport): string[] {
  const depth = Math.max(k, ...rows.flatMap(({ recall }) => Object.keys(recall).map(Number)));
  return ["row", "EM", "interval", "F1", "R@1", "R@5", `MRR@${depth}`, "answer in context"];
}

export function reportText(report: RunReport): string {
  const rows = [...report.rows, ...report.more];
  const heads = headsOf(report);
  const table = [heads, ...rows.map(cells)];
  const widths = heads.map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const lines = table.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "),
  );
  const meanings = rows.map(({ name, meaning }) => `  ${name.padEnd(widths[0] ?? 0)}  ${meaning}`);
  return [
    `${report.name}: ${report.questions} questions of the ${report.split} split, ${report.passages} passages, k = ${report.k}`,
    "",
    ...lines,
    "",
    `Intervals hold ${percent(report.confidence)} of bootstrap resamples, clustered by document.`,
    ...searched(report.rows),
    ...meanings,
    "",
    ...verdict(report.rows),
    "",
  ].join("\n");
}

/** Over how many questions retrieval was scored. */
function searched(rows: readonly ReportRow[]): string[] {
  const row = rows.find(({ mrr }) => mrr !== null);
  return row === undefined ? [] : [`Recall and MRR are means over the ${row.with_gold} questions that have a gold passage.`];
}

function cells(row: ReportRow): string[] {
  const [low, high] = row.em_interval;
  return [
    row.name,
    share(row.em),
    `${share(low)}-${share(high)}`,
    share(row.f1),
    share(row.recall["1"]),
    share(row.recall["5"]),
    share(row.mrr),
    share(row.answer_in_context),
  ];
}

export function share(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}

function percent(value: number): string {
  return `${Number((100 * value).toFixed(1))} %`;
}

/** Whether the trained retriever beats its start and BM25, in recall@1. */
function verdict(rows: readonly ReportRow[]): string[] {
  const recall = (name: string): number | undefined => rows.find((row) => row.name === name)?.recall["1"] ?? undefined;
  const trained = recall("trained-pair");
  if (trained === undefined) return [];
  return [
    ["base-pair", "its start"],
    ["bm25", "BM25"],
  ].flatMap(([name = "", meaning = ""]) => {
    const other = recall(name);
    if (other === undefined) return [];
    const difference = trained - other;
    const word = difference > 0 ? "above" : difference < 0 ? "BELOW" : "equal to";
    return [
      `The trained retriever's recall@1 is ${word} ${meaning}: ${trained.toFixed(3)} against ${other.toFixed(3)} (${difference >= 0 ? "+" : ""}${difference.toFixed(3)}).`,
    ];
  });
}
