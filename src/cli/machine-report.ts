/**
 * What this machine has for Tandem, and what each lack costs. Pure but for its probes, so that a test can describe any machine.
 * It isn't the command (`doctor.ts` prints) and decides nothing: training looks for itself. The trap: it has to work, and say so, where libtorch doesn't load.
 */
import { UserError } from "../errors.js";
import { groupLimits, type ReadText } from "./cgroup.js";

/** What libtorch says of itself once it is loaded. */
export interface EngineProbe {
  readonly torchVersion: string;
  /** Threads that one operator may use. */
  readonly threads: number;
  /** The instruction set of its kernels, such as AVX512. */
  readonly cpuCapability: string;
  readonly cudaDevices: number;
  /** Measures an fp32 matrix product on a device, in GFLOP/s. */
  readonly gemmRate: (device: string) => number;
}

/** What libfaiss says of itself. */
interface FaissProbe {
  readonly version: string;
  /** Who multiplies for it. */
  readonly blas: "OpenBLAS" | "MKL" | "reference";
}

/** The only ways in which the report touches the machine. */
export interface MachineProbes {
  readonly read: ReadText;
  /** Loads libtorch. @throws UserError when an add-on isn't built or doesn't load. */
  readonly engine: () => Promise<EngineProbe>;
  /** Maps a file of this installation. @throws UserError when the add-on isn't built or doesn't load. */
  readonly mapFile: () => Promise<void>;
  /** Loads libfaiss. @throws UserError when its add-on isn't built or doesn't load: search is exact then. */
  readonly faiss: () => Promise<FaissProbe>;
  readonly bf16Units: () => Promise<"amx" | "avx512" | undefined>;
  readonly nodeVersion: string;
  readonly cores: number;
  readonly totalMemoryBytes: number;
  /** Bytes free where runs are written. */
  readonly diskFreeBytes: number | undefined;
  readonly runFolder: string;
}

/** Something that isn't here. */
export interface Lack {
  readonly what: string;
  readonly cost: string;
  readonly remedy?: string;
}

export interface MachineReport {
  /** Whether training can run here at all. */
  readonly ready: boolean;
  readonly node: string;
  readonly libtorch: { readonly version: string; readonly folder: string | null } | null;
  /** Which add-ons load. */
  readonly addons: { readonly bridge: boolean; readonly mmap: boolean };
  /** Null where search is exact. */
  readonly faiss: FaissProbe | null;
  /** Names as configs spell them: `cpu`, `cuda:0` … */
  readonly devices: readonly string[];
  readonly cpuCapability: string | null;
  /** The processor's own bf16 arithmetic, or null. */
  readonly bf16: "amx" | "avx512" | null;
  readonly cores: number;
  readonly threads: number | null;
  /** fp32, GFLOP/s by device, measured now; empty without libtorch. */
  readonly gemmGflops: Readonly<Record<string, number>>;
  readonly memory: { readonly totalBytes: number; readonly limitBytes: number | null; readonly availableBytes: number };
  readonly disk: { readonly folder: string; readonly freeBytes: number | null };
  readonly lacks: readonly Lack[];
}

/** The rate that the quickstart's eight minutes are stated for. */
const quickstartGflops = 200;
const gibibyte = 2 ** 30;

/** Looks at everything once; measuring the matrix product takes about a second. */
export async function inspectMachine(probes: MachineProbes): Promise<MachineReport> {
  const [engine, mapped, faiss] = await Promise.all([orRefusal(probes.engine), orRefusal(probes.mapFile), orRefusal(probes.faiss)]);
  const loaded = engine instanceof UserError ? undefined : engine;
  const limits = groupLimits(probes.read);
  const devices = ["cpu", ...Array.from({ length: loaded?.cudaDevices ?? 0 }, (_, index) => `cuda:${String(index)}`)];
  const facts = {
    node: probes.nodeVersion,
    libtorch: loaded === undefined ? null : { version: loaded.torchVersion, folder: libtorchFolder(probes.read) },
    addons: { bridge: loaded !== undefined, mmap: !(mapped instanceof UserError) },
    faiss: faiss instanceof UserError ? null : faiss,
    devices,
    cpuCapability: loaded?.cpuCapability ?? null,
    bf16: (await probes.bf16Units()) ?? null,
    cores: Math.max(1, Math.min(probes.cores, Math.floor(limits.cpus ?? Infinity))),
    threads: loaded?.threads ?? null,
    gemmGflops: loaded === undefined ? {} : Object.fromEntries(devices.map((device) => [device, loaded.gemmRate(device)])),
    memory: {
      totalBytes: probes.totalMemoryBytes,
      limitBytes: limits.memoryBytes ?? null,
      availableBytes: availableMemory(probes, limits),
    },
    disk: { folder: probes.runFolder, freeBytes: probes.diskFreeBytes ?? null },
  };
  const lacks = [...lacksOfSoftware(engine, mapped), ...lacksOfFaiss(faiss), ...lacksOfHardware(facts), ...lacksOfRoom(facts)];
  return { ready: facts.addons.bridge && facts.addons.mmap, ...facts, lacks };
}

type Facts = Omit<MachineReport, "ready" | "lacks">;

/** What a probe gives, or its refusal as a value: a part that doesn't load is a line of the report. */
async function orRefusal<T>(probe: () => Promise<T>): Promise<T | UserError> {
  try {
    return await probe();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

/** Where the library that this process runs was loaded from. */
function libtorchFolder(read: ReadText): string | null {
  return /^.*?(\/\S.*)\/libtorch_cpu\.so/m.exec(read("/proc/self/maps") ?? "")?.[1] ?? null;
}

function availableMemory(probes: MachineProbes, limits: ReturnType<typeof groupLimits>): number {
  const kibibytes = /^MemAvailable:\s+(\d+) kB$/m.exec(probes.read("/proc/meminfo") ?? "")?.[1];
  const free = kibibytes === undefined ? probes.totalMemoryBytes : Number(kibibytes) * 1024;
  if (limits.memoryBytes === undefined) return free;
  return Math.max(0, Math.min(free, limits.memoryBytes - (limits.memoryUsedBytes ?? 0)));
}

function lacksOfSoftware(engine: unknown, mapped: unknown): Lack[] {
  const lacks: Lack[] = [];
  if (engine instanceof UserError) {
    lacks.push(refused(engine, "nothing can be trained, embedded, searched by vectors or answered; configs and corpora still work"));
  }
  if (mapped instanceof UserError) lacks.push(refused(mapped, "no corpus, index or checkpoint can be opened"));
  return lacks;
}

function lacksOfFaiss(faiss: FaissProbe | UserError): Lack[] {
  if (faiss instanceof UserError) {
    const { got, remedy } = faiss.fault;
    const what = got === undefined ? "no FAISS" : `no FAISS (${got})`;
    const cost = "search is exact: its time and memory grow with the number of passages; index.factory can't be used";
    return [{ what, cost, ...(remedy === undefined ? {} : { remedy }) }];
  }
  if (faiss.blas !== "reference") return [];
  return [
    {
      what: "FAISS multiplies by the reference BLAS",
      cost: "its training and flat search take many times as long as with OpenBLAS",
      remedy: "with root on Debian: apt-get install -y libopenblas0-openmp (nothing needs to be built again)",
    },
  ];
}

function refused(error: UserError, cost: string): Lack {
  const { what, got } = error.fault;
  return { what: got === undefined ? what : `${what} (${got})`, cost, remedy: "bash scripts/setup.sh" };
}

function lacksOfHardware(facts: Facts): Lack[] {
  const lacks: Lack[] = [];
  if (facts.devices.length === 1 && facts.libtorch !== null) {
    lacks.push({
      what: "no NVIDIA card that libtorch can use",
      cost: "everything runs on the processor; larger models and corpora take long",
    });
  }
  if (facts.bf16 === null && facts.devices.length === 1) {
    lacks.push({
      what: "the processor has no bf16 arithmetic (AMX or AVX512-BF16)",
      cost: "training stays in fp32: more time and memory a step",
    });
  }
  const fastest = Math.max(...Object.values(facts.gemmGflops));
  if (facts.libtorch !== null && fastest < quickstartGflops) {
    lacks.push({
      what: `fp32 matrix products at ${fastest.toFixed(0)} GFLOP/s, below ${String(quickstartGflops)}`,
      cost: "the quickstart takes longer than its 8 minutes",
      remedy: "if the machine is busy, measure again when it is quiet",
    });
  }
  if (facts.threads !== null && facts.threads > facts.cores) {
    lacks.push({
      what: `libtorch uses ${String(facts.threads)} threads on ${String(facts.cores)} processors`,
      cost: "the threads wait for each other and every operator slows down",
      remedy: `set threads=${String(facts.cores)}`,
    });
  }
  return lacks;
}

function lacksOfRoom(facts: Facts): Lack[] {
  const lacks: Lack[] = [];
  if (facts.memory.limitBytes !== null && facts.memory.limitBytes < facts.memory.totalBytes) {
    lacks.push({
      what: `memory is limited to ${(facts.memory.limitBytes / gibibyte).toFixed(1)} GiB by the container or the job`,
      cost: "a process that needs more is killed without a message",
    });
  }
  if (facts.disk.freeBytes !== null && facts.disk.freeBytes < gibibyte) {
    lacks.push({
      what: `${(facts.disk.freeBytes / gibibyte).toFixed(2)} GiB of disk are free for ${facts.disk.folder}`,
      cost: "checkpoints and indexes may not fit; a run then stops with its last complete checkpoint",
      remedy: "free some space, or run.dir=<folder on another disk>",
    });
  }
  return lacks;
}
