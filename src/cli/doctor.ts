/**
 * `tandem doctor`: what this machine has for Tandem and what each lack costs. It repairs nothing; `scripts/setup.sh` does.
 * The trap: it is run where nothing works yet, so libtorch is loaded late and its absence is a line of the report.
 */
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import type { CommandModule } from "yargs";
import { inspectMachine, type Lack, type MachineProbes, type MachineReport } from "./machine-report.js";

export const command: CommandModule<object, { json: boolean }> = {
  command: "doctor",
  describe: "what this machine has for Tandem, and what each lack costs",
  builder: (yargs) =>
    yargs
      .option("json", { type: "boolean", default: false, describe: "print the report as JSON" })
      .example("$0 doctor", "libtorch, devices, matrix-product rate, memory, disk: about two seconds")
      .example("$0 doctor --json | jq .gemmGflops", "fp32 GFLOP/s by device")
      .epilogue("Exits 0 when training can run here, 2 when something needed is missing: bash scripts/setup.sh installs it."),
  handler: async ({ json }) => {
    const report = await inspectMachine(thisMachine());
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : renderReport(report));
    if (!report.ready) process.exitCode = 2;
  },
};

/** The probes of the machine that this process runs on. */
export function thisMachine(): MachineProbes {
  return {
    read: readOrNothing,
    engine: async () => {
      const { engineFacts, gemmRate } = await import("../engine/info.js");
      return { ...engineFacts(), gemmRate: (device) => gemmRate({ device }) };
    },
    mapFile: async () => {
      const { mapFile } = await import("../storage/memory-map.js");
      mapFile(import.meta.filename);
    },
    faiss: async () => (await import("../retrieval/faiss-native.js")).faissFacts(),
    bf16Units: async () => (await import("../engine/info.js")).bf16Units(),
    nodeVersion: process.versions.node,
    cores: availableParallelism(),
    totalMemoryBytes: totalmem(),
    diskFreeBytes: freeBytes(process.cwd()),
    runFolder: process.cwd(),
  };
}

function readOrNothing(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** Bytes that this user may still write there. */
function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}

/** The report as lines for a person: what is here, then what isn't. */
export function renderReport(report: MachineReport): string {
  const { libtorch, addons, memory, disk } = report;
  const gemm = Object.entries(report.gemmGflops).map(([device, rate]) => `${device} ${rate.toFixed(0)} GFLOP/s in fp32`);
  const rows: readonly (readonly [string, string])[] = [
    ["node", report.node],
    ["libtorch", libtorch === null ? "not loaded" : `${libtorch.version}${libtorch.folder === null ? "" : `, ${libtorch.folder}`}`],
    ["add-ons", `bridge ${addons.bridge ? "loads" : "doesn't load"}, mmap ${addons.mmap ? "loads" : "doesn't load"}`],
    ["devices", `${report.devices.join(", ")}${report.cpuCapability === null ? "" : ` (${report.cpuCapability})`}`],
    ["bf16", { amx: "AMX", avx512: "AVX512-BF16", none: "not in this processor" }[report.bf16 ?? "none"]],
    ["threads", `${report.threads === null ? "" : `${String(report.threads)} of libtorch on `}${String(report.cores)} processors`],
    ["matrix product", gemm.length === 0 ? "not measured" : gemm.join(", ")],
    ["FAISS", report.faiss === null ? "none: exact search" : `${report.faiss.version}, BLAS: ${report.faiss.blas}`],
    ["memory", `${gib(memory.availableBytes)} free of ${gib(memory.limitBytes ?? memory.totalBytes)}`],
    ["disk", `${disk.freeBytes === null ? "unknown" : gib(disk.freeBytes)} free in ${disk.folder}`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}${value}`);
  return [...lines, "", ...report.lacks.flatMap(renderLack), "", report.ready ? "ready" : "not ready: bash scripts/setup.sh", ""].join(
    "\n",
  );
}

function renderLack({ what, cost, remedy }: Lack): string[] {
  return [`- ${what}`, `    costs: ${cost}`, ...(remedy === undefined ? [] : [`    mend:  ${remedy}`])];
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
