/**
 * `tandem plan`: what a run of these words would need of memory, disk and hours, from a minute's measurement, and which limit it hits first. It trains nothing that lasts; entry by entry the schedule is `tandem config plan`'s. The trap: what
 * other programs take from the machine meanwhile is taken from the measurement too.
 */
import { existsSync, readFileSync, statfsSync } from "node:fs";
import { totalmem } from "node:os";
import path from "node:path";
import type { CommandModule } from "yargs";
import type { Partition } from "../job/plan/forecast.js";
import { countsOf, durationOf, positiveOf, sizeOf } from "./amounts.js";
import { groupLimits } from "./cgroup.js";
import { jobDisplay } from "./job-display.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";
import { forecastText } from "./plan-text.js";

interface PlanArguments extends OverrideArguments {
  seconds: string;
  measure: boolean;
  nodes: string;
  passages: string | undefined;
  link: string | undefined;
  latency: string | undefined;
  memory: string | undefined;
  disk: string | undefined;
  time: string | undefined;
  json: boolean;
  quiet: boolean;
}

export const command: CommandModule<object, PlanArguments> = {
  command: "plan [overrides..]",
  describe: "what a run would need of memory, disk and hours, and which limit it hits first",
  builder: (yargs) => {
    const text = { type: "string", requiresArg: true } as const;
    return withOverrides(yargs)
      .option("seconds", { ...text, default: "60", describe: "length of the measurement, about" })
      .option("measure", { type: "boolean", default: true, describe: "measure; --no-measure: only what is arithmetic" })
      .option("nodes", {
        ...text,
        default: "1,2,4,8,16,32,64",
        describe: "numbers of nodes for the cost model, each with train.workers workers",
      })
      .option("passages", { ...text, describe: "passages of the whole corpus, where only a part is read" })
      .option("link", { ...text, describe: "GB/s between two nodes; otherwise this machine's loop-back is measured" })
      .option("latency", { ...text, describe: "microseconds of a message between two nodes" })
      .option("memory", { ...text, describe: "memory of a node, such as 64G; otherwise this machine's" })
      .option("disk", { ...text, describe: "disk for the run, such as 500G; otherwise what is free in run.dir" })
      .option("time", { ...text, describe: "time limit of a job as Slurm takes it: 90 (minutes), 24:00:00; otherwise none" })
      .option("json", { type: "boolean", default: false, describe: "print JSON" })
      .option("quiet", { type: "boolean", default: false, describe: "print no progress" })
      .example("$0 plan experiment=quickstart", "the quickstart on this machine")
      .example("$0 plan experiment=squad data.root=data/squad train.workers=4 --memory 64G --time 24:00:00", "on a node of a partition")
      .example(
        "$0 plan experiment=squad data.root=data/squad data.corpus.limit=2000 --passages 21000000 --link 3 --latency 20",
        "a large corpus from a part of it, over a network of 3 GB/s",
      )
      .epilogue("Corpus and first weights are made in a temporary folder, as training would make them, and removed.");
  },
  handler: async (given) => {
    const driver = residentBytes();
    const { seconds, measure, nodes, passages, link, latency } = given;
    const asked = {
      seconds: measure ? positiveOf(seconds, "seconds") : undefined,
      nodes: countsOf(nodes, "nodes"),
      passages: passages === undefined ? undefined : Math.round(positiveOf(passages, "passages")),
      link: {
        ...(link === undefined ? {} : { bytesPerSecond: 1e9 * positiveOf(link, "link") }),
        ...(latency === undefined ? {} : { latency: 1e-6 * positiveOf(latency, "latency") }),
      },
      driver,
    };
    const partition = partitionOf(given);
    const { config } = configOf(given);
    const options = { ...asked, partition: { ...partition, disk: partition.disk ?? freeBytes(config.run.dir) } };
    const display = jobDisplay(given);
    try {
      const { forecastRun } = await import("../job/plan/forecast-run.js");
      const made = await forecastRun(config, display.report, options);
      display.finish();
      process.stdout.write(given.json ? `${JSON.stringify(made, null, 2)}\n` : forecastText(made));
    } finally {
      display.finish();
    }
  },
};

/** What this process holds before it loads anything heavy: about what a driver does. */
function residentBytes(): number {
  return process.memoryUsage.rss();
}

function partitionOf({ memory, disk, time }: PlanArguments): Partition {
  return {
    memory: memory === undefined ? ownMemory() : sizeOf(memory, "memory"),
    disk: disk === undefined ? undefined : sizeOf(disk, "disk"),
    time: time === undefined ? undefined : durationOf(time, "time"),
  };
}

/** The machine's memory, or what a container or a job may have of it. */
function ownMemory(): number {
  const limits = groupLimits((file) => {
    try {
      return readFileSync(file, "utf8");
    } catch {
      return undefined;
    }
  });
  return Math.min(totalmem(), limits.memoryBytes ?? Infinity);
}

/** Bytes that this user may still write where runs are, or would be. */
function freeBytes(folder: string): number | undefined {
  const there = path.resolve(folder);
  if (!existsSync(there)) return there === path.dirname(there) ? undefined : freeBytes(path.dirname(there));
  const { bavail, bsize } = statfsSync(there);
  return bavail * bsize;
}
