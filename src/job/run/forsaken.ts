/** Whether a worker failed only because another one is gone, which its driver names: then it waits to be ended. The trap: gloo and NCCL say so in words alone. */
import { OperatorError } from "../../engine/native.js";
import { FirstFailed } from "./crew.js";

const LOST =
  /gloo|Connection closed|Connection reset|Connection was likely closed|failed to recv|Broken pipe|ncclRemoteError|timed out in blocking wait|NCCL communicator was aborted/;

export function isForsaken(error: unknown): boolean {
  return error instanceof FirstFailed || (error instanceof OperatorError && LOST.test(error.message));
}
