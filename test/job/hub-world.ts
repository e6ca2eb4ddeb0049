/** A hub with tiny models on it, a cache of one's own, and what was said while fetching. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { HubSettings } from "../../src/config/hub-settings.js";
import { fetchModel, type FetchedModel } from "../../src/job/models/hub-model.js";
import type { ModelRole } from "../../src/job/models/hub-files.js";
import type { JobMessage } from "../../src/job/reporter.js";
import { hubName } from "../../src/config/model-name.js";
import { goldens } from "../nn/goldens.js";
import { startHub, type HubServer } from "../storage/hub-server.js";

export const FIRST = "1".repeat(40);
export const SECOND = "2".repeat(40);
export const BERT = "tiny-org/tiny-bert";
export const GPT2 = "tiny-gpt2";

/** What a repository holds besides what Tandem reads. */
const UNREAD = {
  "README.md": "# a model",
  "pytorch_model.bin": "not to be fetched",
  "onnx/model.onnx": "not to be fetched",
  ".gitattributes": "",
};

/** Every file of a folder by its path in it. */
export function filesOf(folder: string, below = ""): Record<string, Buffer> {
  const entries = readdirSync(path.join(folder, below), { withFileTypes: true }).flatMap((entry): [string, Buffer][] => {
    const name = path.join(below, entry.name);
    return entry.isDirectory() ? Object.entries(filesOf(folder, name)) : [[name, readFileSync(path.join(folder, name))]];
  });
  return Object.fromEntries(entries);
}

export const bertFiles = filesOf(path.join(goldens, "bert-tiny"));
export const gpt2Files = filesOf(path.join(goldens, "gpt2-tiny"));

/** A hub with both tiny models, each with more files than are read. */
export async function tinyHub(): Promise<HubServer> {
  const server = await startHub();
  server.commit(BERT, FIRST, { ...bertFiles, ...UNREAD });
  server.commit(GPT2, FIRST, { ...gpt2Files, ...UNREAD });
  return server;
}

export function settings(server: { endpoint: string }, cache: string, changes: Partial<HubSettings> = {}): HubSettings {
  return { endpoint: server.endpoint, cache, offline: false, timeout: 2000, pause: 5, ...changes };
}

/** Fetches, keeping what was said. */
export async function fetched(
  text: string,
  hub: HubSettings,
  said: JobMessage[] = [],
  more: { role?: ModelRole; onCommit?: (commit: string) => void } = {},
): Promise<FetchedModel> {
  const wanted = hubName(text);
  if (wanted === undefined) throw new Error(`${text} is no name`);
  const setting = more.role === undefined ? {} : { setting: `${more.role}.path` };
  return fetchModel(wanted, { hub, report: (message) => said.push(message), ...setting, ...more });
}

/** The texts of one kind of message. */
export function texts(said: readonly JobMessage[], type: "note" | "warning"): string[] {
  return said.flatMap((message) => (message.type === type ? [message.text] : []));
}
