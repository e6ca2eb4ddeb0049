/**
 * Why a process failed, in the file that torchrun names: its own report of the failure then holds our line. Not our log. The trap: torchrun takes the earliest time for the root cause, and a file that it can't read hides every
 * other, so nothing but its own form may be written there.
 * Source: torch.distributed.elastic.multiprocessing.errors, "Error File".
 */
import { writeFileSync } from "node:fs";
import { type Environment, textOf } from "./launch-variables.js";

/** Does nothing without torchrun. A file that can't be written is torchrun's loss alone. */
export function tellTorchrun(environment: Environment, message: string, now = Date.now()): void {
  const file = textOf(environment, "TORCHELASTIC_ERROR_FILE");
  if (file === undefined) return;
  try {
    writeFileSync(file, JSON.stringify({ message: { message, extraInfo: { timestamp: Math.floor(now / 1000) } } }));
  } catch {
    return;
  }
}
