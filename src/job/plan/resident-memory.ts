/**
 * How much memory this process holds, and the most that it held since somebody asked to forget: Linux's own count. Not what is planned; what was seen. The trap: pages of mapped files count as held, though the system takes
 * them back when it must.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** Bytes held now; undefined where the system doesn't say. */
export function heldBytes(): number | undefined {
  return field("VmRSS");
}

/** Most bytes held since {@link forgetPeak}, or since the process began. */
export function peakBytes(): number | undefined {
  return field("VmHWM");
}

/** Counts the peak anew from here. Where the system forbids it the peak goes on being the whole process's, which is never too small. */
export function forgetPeak(): void {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {
    // A read-only /proc, or another system.
  }
}

function field(name: string): number | undefined {
  try {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return kibibytes === undefined ? undefined : 1024 * Number(kibibytes);
  } catch {
    return undefined;
  }
}
