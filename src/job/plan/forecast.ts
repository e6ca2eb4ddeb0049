/** A forecast put together: memory, disk and time for a number of passages, the kinds of index, several numbers of nodes, and the limit that is hit first. Pure; what it is made from is forecast-facts.ts's, what it looks like the command's. */
import { faissBytes } from "../../retrieval/index-bytes.js";
import { BACKWARD_SHARE } from "./all-reduce.js";
import { forecastDisk, type DiskForecast } from "./forecast-disk.js";
import type { ForecastFacts } from "./forecast-facts.js";
import { forecastIndexes, type IndexRow } from "./forecast-index.js";
import { forecastMemory, type MemoryForecast } from "./forecast-memory.js";
import { forecastTime, type TimeForecast } from "./forecast-time.js";
import { firstOfGrowing, limitForecast, nearestLimit, type LimitForecast, type LimitName } from "./limits.js";
import type { Link } from "./measure-link.js";

/** Share of a measurement that others may take before it is said. */
const CROWDED = 0.05;

/** What a node of the partition has. undefined: no limit. */
export interface Partition {
  readonly memory: number | undefined;
  readonly disk: number | undefined;
  /** Seconds. */
  readonly time: number | undefined;
}

export interface ForecastOptions {
  readonly passages: number;
  /** Numbers of nodes of the cost model. */
  readonly nodes: readonly number[];
  readonly partition: Partition;
  /** Between nodes; null: none was measured or given. */
  readonly link: (Link & { readonly source: "given" | "loop-back" }) | null;
}

/** A run on so many nodes. */
export interface NodeRow {
  readonly nodes: number;
  readonly workers: number;
  /** Seconds of steps, of what else is shared, of what the first worker does alone. */
  readonly steps: number;
  readonly shared: number;
  readonly alone: number;
  /** Seconds of sums and messages that aren't hidden behind the backward pass, and of all of them. */
  readonly hidden: number;
  readonly exposed: number;
  /** Seconds in all, with the one and with the other. */
  readonly seconds: number;
  readonly seconds_exposed: number;
  /** Times as fast as the first row. */
  readonly speed_up: number;
  /** Bytes that the first node needs. */
  readonly memory: number;
}

export interface Forecast {
  readonly passages: number;
  readonly dimension: number;
  readonly workers: number;
  readonly memory: MemoryForecast;
  readonly disk: DiskForecast;
  /** null: nothing was measured. */
  readonly time: TimeForecast | null;
  /** By kind of step: seconds in one of `workers` workers, and how many were measured. */
  readonly steps: Readonly<Record<string, { readonly seconds: number; readonly measured: number }>>;
  /** Kinds of index, each with its bytes for these numbers of workers. */
  readonly index: readonly IndexRow[];
  readonly index_workers: readonly number[];
  readonly nodes: readonly NodeRow[];
  readonly link: ForecastOptions["link"];
  readonly limits: readonly LimitForecast[];
  /** The limit that is passed most, or else the nearest. */
  readonly nearest: LimitName;
  readonly is_hit: boolean;
  /** The limit that a growing corpus hits first. */
  readonly growing: LimitName | null;
  readonly assumptions: readonly string[];
  readonly left_out: readonly string[];
}

export function forecast(facts: ForecastFacts, options: ForecastOptions, leftOut: readonly string[]): Forecast {
  const { measured, workers, dimension, config } = facts;
  const { passages, nodes, link } = options;
  const limits = limitsOf(facts, options);
  const nearest = nearestLimit(limits);
  const totals = nodes.map((count) => count * workers);
  return {
    passages,
    dimension,
    workers,
    memory: forecastMemory(facts, passages, workers),
    disk: forecastDisk(facts, passages),
    time: measured === undefined ? null : forecastTime(facts, measured, passages, workers, link ?? undefined),
    steps: Object.fromEntries(
      [...(measured?.steps ?? [])].map(([kind, costs]) => {
        const own = costs.get(workers);
        return [kind, { seconds: own?.seconds ?? NaN, measured: own?.times.length ?? 0 }];
      }),
    ),
    index: forecastIndexes(dimension, passages, config.index.factory, totals),
    index_workers: totals,
    nodes: nodeRows(facts, options),
    link,
    limits,
    nearest: nearest.name,
    is_hit: nearest.need > nearest.limit,
    growing: firstOfGrowing(limits)?.name ?? null,
    assumptions: assumptions(facts, options),
    left_out: leftOut,
  };
}

function limitsOf(facts: ForecastFacts, { passages, partition, link }: ForecastOptions): LimitForecast[] {
  const { measured, workers } = facts;
  const memory = (count: number) => forecastMemory(facts, count, workers);
  const heap = memory(passages).heap_limit;
  const limits = [
    ...(partition.memory === undefined
      ? []
      : [limitForecast({ name: "memory", unit: "bytes", limit: partition.memory }, passages, (count) => memory(count).node)]),
    limitForecast({ name: "JavaScript's heap", unit: "bytes", limit: heap }, passages, (count) => memory(count).heap),
    ...(partition.disk === undefined
      ? []
      : [limitForecast({ name: "disk", unit: "bytes", limit: partition.disk }, passages, (count) => forecastDisk(facts, count).peak)]),
  ];
  if (partition.time === undefined || measured === undefined) return limits;
  const seconds = (count: number): number => forecastTime(facts, measured, count, workers, link ?? undefined).seconds;
  return [...limits, limitForecast({ name: "time", unit: "seconds", limit: partition.time }, passages, seconds)];
}

function nodeRows(facts: ForecastFacts, { passages, nodes, link }: ForecastOptions): NodeRow[] {
  const { measured, workers } = facts;
  if (measured === undefined) return [];
  let first: number | undefined;
  return nodes.map((count) => {
    const total = count * workers;
    const time = forecastTime(facts, measured, passages, total, link ?? undefined);
    const sum = (rows: TimeForecast["rows"]): number => rows.reduce((all, row) => all + row.seconds, 0);
    const steps = time.rows.filter(({ what }) => what.startsWith("steps: "));
    const shared = time.rows.filter((row) => row.by === "all" && !steps.includes(row));
    first ??= time.seconds;
    return {
      nodes: count,
      workers: total,
      steps: sum(steps),
      shared: sum(shared),
      alone: sum(time.rows.filter(({ by }) => by === "first")),
      hidden: time.hidden,
      exposed: time.exposed,
      seconds: time.seconds,
      seconds_exposed: time.alone + time.exposed,
      speed_up: first / time.seconds,
      memory: forecastMemory(facts, passages, total).node,
    };
  });
}

/** What the first node's pages of files are, where they don't fit into its memory beside what is counted. */
function pagesBeyond(facts: ForecastFacts, { passages, partition }: ForecastOptions): string[] {
  const { mapped, node } = forecastMemory(facts, passages, facts.workers);
  const pages = mapped.reduce((sum, { what, first, other }) => sum + (what === "corpus" ? first : first + (facts.workers - 1) * other), 0);
  if (partition.memory === undefined || node + pages <= partition.memory) return [];
  return [
    `a disk as quick as memory: a node's ${(pages / 2 ** 30).toFixed(1)} GiB of files' pages don't stay in its memory, so searches read them anew, which isn't measured`,
  ];
}

function assumptions(facts: ForecastFacts, options: ForecastOptions): string[] {
  const { passages, nodes, link } = options;
  const { measured, workers, store, config, dimension } = facts;
  const several = workers > 1 || nodes.some((count) => count > 1);
  const factory = config.index.factory;
  return [
    ...(passages === store.size ? [] : [`${passages} passages of the length of the ${store.size} that were read, with the same questions`]),
    "memory: exact search in f32 reads its file's pages, and the corpus its own; they aren't counted, for the system takes them back when it must",
    ...pagesBeyond(facts, options),
    ...(factory !== null && faissBytes(factory, dimension) === undefined
      ? [`index.factory "${factory}": its size isn't known, and isn't counted`]
      : []),
    ...(measured === undefined || measured.waited < CROWDED
      ? []
      : [
          `a machine of its own: other programs had the processor in ${(100 * measured.waited).toFixed(0)} % of the measurement, which is taken off; measure again when it is quiet`,
        ]),
    ...(measured === undefined
      ? []
      : ["answers are as long as the longest gold answer of their batch; a generator that rambles takes longer"]),
    ...(several && measured !== undefined
      ? [
          "a step of one of several workers was measured in one process, on its share of the cores and of the batch, alone on the machine",
          "validation's answers are divided by whole batches with their scores, which are the first worker's alone",
          `sums of gradients: a ring, hidden behind ${(100 * BACKWARD_SHARE).toFixed(0)} % of a step's arithmetic where it says hidden`,
        ]
      : []),
    ...(several && link?.source === "loop-back"
      ? ["the link is this machine's loop-back between two processes, no network: give --link for yours"]
      : []),
  ];
}
