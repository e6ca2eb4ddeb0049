/**
 * `auto` made concrete: which device and which precision a run uses. It asks the machine, it doesn't assume. The trap: bf16 on a processor without bf16 units works and is slower than fp32, so
 * asking for it there is allowed but warned about by `tandem doctor`.
 */
import { bf16Units, engineFacts } from "../engine/info.js";
import { UserError } from "../errors.js";

/** Which worker asks, and of what. */
export interface DeviceChoice {
  /** Its number among the workers of its machine. Default 0. */
  readonly localRank?: number | undefined;
  /** GPUs that this process sees; default: as libtorch says. */
  readonly cudaDevices?: number;
}

/**
 * `cpu` or `cuda:N`. `auto` gives each worker of a machine its own GPU, and goes round where there are fewer. A launcher that shows each process its own GPU alone shows one: that is cuda:0 for all of them.
 *
 * @throws UserError when that GPU isn't there
 */
export function runDevice(wanted: string, { localRank = 0, cudaDevices = engineFacts().cudaDevices }: DeviceChoice = {}): string {
  if (wanted === "auto") return cudaDevices > 0 ? `cuda:${localRank % cudaDevices}` : "cpu";
  const number = /^cuda:(\d+)$/.exec(wanted)?.[1];
  if (number !== undefined && Number(number) >= cudaDevices)
    throw new UserError({
      where: "device",
      what: "is not on this machine",
      expected: cudaDevices === 0 ? "cpu" : `cuda:0 to cuda:${cudaDevices - 1}`,
      got: wanted,
      remedy: "set device=auto, or another device of this machine",
    });
  return wanted;
}

/** bf16 autocast where it is fast, unless the config decides. undefined: everything in f32. */
export function runPrecision(wanted: "auto" | "f32" | "bf16", device: string): "bf16" | undefined {
  if (wanted === "auto") return device !== "cpu" || bf16Units() === "amx" ? "bf16" : undefined;
  return wanted === "bf16" ? "bf16" : undefined;
}
