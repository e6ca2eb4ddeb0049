/**
 * `auto` made concrete: which device and which precision a run uses. It asks the machine, it doesn't assume. The trap: bf16 on a processor without bf16 units works and is slower than fp32, so
 * asking for it there is allowed but warned about by `tandem doctor`.
 */
import { bf16Units, engineFacts } from "../engine/info.js";
import { UserError } from "../errors.js";

/** `cpu` or `cuda:N`. @throws UserError when that GPU isn't there */
export function runDevice(wanted: string): string {
  const { cudaDevices } = engineFacts();
  if (wanted === "auto") return cudaDevices > 0 ? "cuda:0" : "cpu";
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
