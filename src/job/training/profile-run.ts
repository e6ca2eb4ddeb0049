/**
 * Profiles this process: spans and operators into a trace file of the run directory. The trap: a process that is asked to leave exits wherever it is, so the file is closed at the process's end too.
 */
import path from "node:path";
import { startProfiling, stopProfiling } from "../../engine/profiler.js";
import { TraceFile } from "../../tracking/trace-file.js";
import type { Report } from "../reporter.js";

/**
 * Starts a trace in `<run>/profile/`, or in `rank-<r>/` there for another worker than the first; the returned function ends it.
 *
 * @throws UserError when it can't be written
 */
export function profileRun(run: string, rank: number, report: Report): () => void {
  const folder = path.join(run, "profile", ...(rank === 0 ? [] : [`rank-${rank}`]));
  const trace = TraceFile.open(folder, ({ message }) => {
    stopProfiling();
    report({ type: "warning", text: `the profile ends here: ${message}` });
  });
  startProfiling((event) => trace.write(event));
  let isOpen = true;
  const end = (): void => {
    if (!isOpen) return;
    isOpen = false;
    stopProfiling();
    trace.close();
  };
  process.once("exit", end);
  report({ type: "note", text: `profile: ${trace.path}; open it with https://ui.perfetto.dev or chrome://tracing` });
  return () => {
    process.off("exit", end);
    end();
  };
}
