/**
 * `tracking.json` in a run directory: to which server the run goes, as which MLflow run, and how far. It isn't the spool; that is the run directory itself. The trap: it is written after the server has answered,
 * so after a crash it may know less than the server holds, never more.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { writeFileAtomic } from "../storage/atomic-write.js";
import { expectObject, readJson } from "../storage/json-file.js";

/** What a run sends as metrics, each with its own place: lines of metrics.jsonl, validations, the report. */
export const STREAMS = ["training", "validation", "report"] as const;
export type StreamName = (typeof STREAMS)[number];

/** How far a run is at one server. */
export interface ServerCursor {
  readonly uri: string;
  readonly experimentId: string;
  readonly runId: string;
  readonly artefactUri: string;
  /** The last step that the server has acknowledged; -1: none. */
  readonly steps: Record<StreamName, number>;
  /** Hash of the parameters and tags that were sent. */
  described: string;
  /** The state that the server was told. */
  status: string;
  /** Files that were sent, each with its size and time. */
  readonly artefacts: Record<string, string>;
}

export interface TrackingCursor {
  readonly servers: ServerCursor[];
}

const FORMAT = 1;

export function cursorFile(run: string): string {
  return join(run, "tracking.json");
}

/** @throws UserError when the file isn't one of ours */
export function readCursor(run: string): TrackingCursor {
  const file = cursorFile(run);
  if (!existsSync(file)) return { servers: [] };
  const remedy = `remove it: what the server holds is asked for, nothing is sent twice`;
  const { format, servers } = expectObject(readJson(file), file);
  if (format !== FORMAT || !Array.isArray(servers))
    throw new UserError({ where: file, what: "is not the place of a tracked run", expected: `format ${FORMAT}`, remedy });
  return { servers: servers.map((entry, index) => serverCursor(entry, `${file}, server ${index + 1}`, remedy)) };
}

export function writeCursor(run: string, { servers }: TrackingCursor): void {
  writeFileAtomic(cursorFile(run), `${JSON.stringify({ format: FORMAT, servers }, null, 2)}\n`);
}

export function newServerCursor(place: Pick<ServerCursor, "uri" | "experimentId" | "runId" | "artefactUri">): ServerCursor {
  return { ...place, steps: { training: -1, validation: -1, report: -1 }, described: "", status: "", artefacts: {} };
}

function serverCursor(value: unknown, where: string, remedy: string): ServerCursor {
  const entry = expectObject(value, where);
  const steps = expectObject(entry["steps"], `${where}, steps`);
  const artefacts = expectObject(entry["artefacts"], `${where}, artefacts`);
  const texts = ["uri", "experimentId", "runId", "artefactUri", "described", "status"] as const;
  const isRight =
    texts.every((name) => typeof entry[name] === "string") &&
    STREAMS.every((name) => Number.isSafeInteger(steps[name])) &&
    Object.values(artefacts).every((mark) => typeof mark === "string");
  if (!isRight) throw new UserError({ where, what: "is not what it should be", remedy });
  return entry as unknown as ServerCursor;
}
