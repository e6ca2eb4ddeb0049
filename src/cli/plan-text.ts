/** A forecast for a person: what takes memory, disk and time, the kinds of index, the cost of several nodes, and last which limit is hit first. It computes nothing but sums that are shown. The trap: GiB are 2^30 bytes, GB/s 10^9. */
import type { Forecast, NodeRow } from "../job/plan/forecast.js";
import type { LimitForecast } from "../job/plan/limits.js";
import { durationText } from "./progress.js";

export function forecastText(made: Forecast): string {
  const sections = [memoryText(made), diskText(made), timeText(made), indexText(made), nodesText(made), notesText(made), limitsText(made)];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}

function memoryText({ memory, workers }: Forecast): string {
  const others = workers > 1;
  const rows = memory.rows.map(({ what, first, other, source }) => [what, sizeText(first), ...(others ? [sizeText(other)] : []), source]);
  const total = ["in all", sizeText(memory.first), ...(others ? [sizeText(memory.other)] : []), ""];
  const mapped = memory.mapped.map(({ what, first, other }) => [
    `pages of files: ${what}`,
    sizeText(first),
    ...(others ? [sizeText(other)] : []),
    "not counted",
  ]);
  const head = ["memory", others ? "first worker" : "worker", ...(others ? ["each other"] : []), "from"];
  const node = `A node: ${sizeText(memory.node)}, ${sizeText(memory.driver)} of it the driver's.`;
  return `${table([head, ...rows, total, ...mapped])}\n${node}`;
}

function diskText({ disk }: Forecast): string {
  const rows = disk.rows.map(({ what, count, bytes, last }) => [what, String(count), sizeText(bytes), sizeText(last)]);
  return table([["disk", "count", "at the peak", "at the end"], ...rows, ["in all", "", sizeText(disk.peak), sizeText(disk.last)]]);
}

function timeText({ time, steps, workers }: Forecast): string {
  if (time === null) return "";
  const rows = time.rows.map(({ what, count, seconds, by }) => {
    const step = steps[what.replace(/^steps: /, "")];
    const each = step === undefined ? "" : `${(1000 * step.seconds).toFixed(1)} ms, from ${step.measured} steps`;
    return [what, String(Math.round(count)), timeOf(seconds), ...(workers > 1 ? [by === "all" ? "all" : "first"] : []), each];
  });
  const waiting =
    time.hidden > 0 ? [["exchanged between workers", "", timeOf(time.hidden), "", "not hidden behind the backward pass"]] : [];
  const head = ["time", "count", "in all", ...(workers > 1 ? ["worker"] : []), "a step"];
  return table([head, ...rows, ...waiting, ["in all", "", timeOf(time.seconds), ""]]);
}

/** The kinds of index with what each takes in a worker of so many; docs/training.md shows it. */
export function indexText(made: Pick<Forecast, "index" | "index_workers" | "passages" | "dimension">): string {
  const { index, index_workers: counts, passages, dimension } = made;
  const head = [
    `index of ${passages} × ${dimension}`,
    "bytes a passage",
    "in all",
    ...counts.map((count) => workersText(count)),
    "held as",
  ];
  const rows = index.map(({ kind, each, bytes, worker, held }) => [
    kind,
    each.toFixed(Number.isInteger(each) ? 0 : 1),
    sizeText(bytes),
    ...worker.map(sizeText),
    held,
  ]);
  const shared = counts.some((count) => count > 1)
    ? "\nExact search is shared out by rows, in blocks of 65,536; an index of FAISS's is whole in the first worker."
    : "";
  return `${table([head, ...rows])}${shared}`;
}

function workersText(count: number): string {
  return count === 1 ? "1 worker" : String(count);
}

const NODE_HEADS = [
  "nodes",
  "workers",
  "steps",
  "shared",
  "first alone",
  "exchange",
  "in all",
  "speed-up",
  "nothing hidden",
  "first node's memory",
];

function nodesText({ nodes, link }: Forecast): string {
  if (nodes.length === 0) return "";
  const rows = nodes.map((row: NodeRow) => [
    String(row.nodes),
    String(row.workers),
    timeOf(row.steps),
    timeOf(row.shared),
    timeOf(row.alone),
    timeOf(row.hidden),
    timeOf(row.seconds),
    row.speed_up.toFixed(2),
    timeOf(row.seconds_exposed),
    sizeText(row.memory),
  ]);
  const from =
    link === null
      ? "Without what is sent: no link was measured or given."
      : `Link: ${(link.bytesPerSecond / 1e9).toFixed(2)} GB/s, ${(1e6 * link.latency).toFixed(0)} µs a message, ${link.source === "given" ? "as given" : "this machine's loop-back"}.`;
  return `${table([NODE_HEADS, ...rows])}\n${from}`;
}

function notesText({ assumptions, left_out: leftOut }: Forecast): string {
  const list = (head: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : [head, ...lines.map((line) => `  ${line}`)];
  return [...list("Assumed:", assumptions), ...list("Not in it:", leftOut)].join("\n");
}

function limitsText(made: Forecast): string {
  const { limits, nearest, is_hit: isHit, growing, time } = made;
  const rows = limits.map((each) => [
    each.name,
    amount(each, each.need),
    amount(each, each.limit),
    `${((100 * each.need) / each.limit).toFixed(each.need < each.limit / 100 ? 2 : 0)} %`,
    passagesText(each),
  ]);
  const first = limits.find(({ name }) => name === nearest);
  const grown = limits.find(({ name }) => name === growing);
  const growth = grown === undefined || isHit ? "" : ` A growing corpus hits ${grown.name} first, at ${passagesText(grown)} passages.`;
  const verdict =
    first === undefined
      ? ""
      : isHit
        ? `Hit first: ${first.name}: ${amount(first, first.need)} of ${amount(first, first.limit)}${remedyFor(first)}`
        : `No limit is hit. The nearest is ${first.name}: ${amount(first, first.need)} of ${amount(first, first.limit)}.${growth}`;
  const table_ = table([["limit", "need", "has", "share", "reached at passages"], ...rows]);
  return `${table_}\n${time === null ? "Without a measurement: time, program and activations aren't counted.\n" : ""}${verdict}`;
}

/** A run goes on after its time limit; nothing else does. */
function remedyFor({ name, need, limit }: LimitForecast): string {
  return name === "time" ? `: ${Math.ceil(need / limit)} jobs, each going on where the last one stopped (--resume auto).` : ".";
}

function passagesText({ passages }: LimitForecast): string {
  if (passages === null) return "–";
  if (passages === 0) return "any number";
  return passages < 1e6 ? String(passages) : `${(passages / 1e6).toFixed(1)} million`;
}

function amount({ unit }: LimitForecast, value: number): string {
  return unit === "bytes" ? sizeText(value) : timeOf(value);
}

function sizeText(bytes: number): string {
  if (bytes < 2 ** 20) return `${(bytes / 2 ** 10).toFixed(1)} KiB`;
  if (bytes < 2 ** 30) return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

function timeOf(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : durationText(seconds);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const isNumber = (_: string, column: number): boolean => rows.slice(1).every((row) => /^$|^[\d–]/.test(row[column] ?? ""));
  const right = (rows[0] ?? []).map(isNumber);
  return rows
    .map((row) =>
      row
        .map((cell, column) => (right[column] === true ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
