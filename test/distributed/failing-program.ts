/** Fails in the second process while the first one waits for it. */
import type { ProcessGroup } from "../../src/distributed/process-group.js";

export default function program(group: ProcessGroup): void {
  if (group.rank === 1) throw new Error("on purpose");
  group.barrier();
}
