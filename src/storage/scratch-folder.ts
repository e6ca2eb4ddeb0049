/**
 * A folder of one process for what nobody needs afterwards, below the system's temporary one. Its maker removes it; what a killed or interrupted process couldn't remove, the next one of that purpose does. The trap: a machine has
 * several users, and nobody may sweep another's, so the name holds whose it is.
 */
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { aboutFile } from "./file-fault.js";
import { sweepTemporaries, temporaryBeside } from "./temporary-name.js";

/**
 * Makes one, readable by its owner alone.
 *
 * @param purpose one word, such as `plan`
 * @throws UserError when the system's temporary folder can't be written
 */
export function scratchFolder(purpose: string): string {
  const name = join(tmpdir(), `tandem-${purpose}-${process.getuid?.() ?? 0}`);
  return aboutFile(tmpdir(), () => {
    sweepTemporaries(name);
    const folder = temporaryBeside(name);
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  });
}
