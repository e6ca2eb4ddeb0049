/**
 * What `retriever.path` and `generator.path` may be: a folder, or a model's name on the hub with or without a revision (`distilgpt2`, `org/name@v1.0`). Nothing is fetched here. The trap: `models/minilm`
 * could be both, so a folder that exists goes first, and only what can't be a name is taken for a missing folder.
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** A model on the hub. */
export interface HubName {
  /** `distilgpt2` or `org/name`. */
  readonly name: string;
  /** A branch, a tag or a commit. */
  readonly revision: string;
}

const DEFAULT_REVISION = "main";
/** One part of a name: letters, digits, `_`, `-` and `.`, the last two not at its ends. */
const PART = /^\w(?:[\w.-]{0,94}\w)?$/;
const REVISION = /^[A-Za-z0-9_][\w./+-]{0,199}$/;

/** The name and revision in a text, undefined when it can't be one. */
export function hubName(text: string): HubName | undefined {
  const [name = "", revision, ...rest] = text.split("@");
  const parts = name.split("/");
  const isName = parts.length <= 2 && parts.every((part) => PART.test(part)) && !/--|\.\./.test(name) && !name.endsWith(".git");
  if (!isName || rest.length > 0) return undefined;
  if (revision === undefined) return { name, revision: DEFAULT_REVISION };
  return REVISION.test(revision) && !/\.\.|\/\/|\/$|\.lock$/.test(revision) ? { name, revision } : undefined;
}

/** `name`, or `name@revision` where that isn't the hub's default: as it is typed. */
export function hubNameText({ name, revision }: HubName): string {
  return revision === DEFAULT_REVISION ? name : `${name}@${revision}`;
}

/** The absolute path of a folder, or the hub's name as it stands: where nothing of that path exists and it doesn't say that it is one (`./`, `~/`, `/`). */
export function modelPlace(text: string): string {
  const folder = path.resolve(text.replace(/^~(?=\/|$)/, homedir()));
  return !/^[./~]/.test(text) && hubName(text) !== undefined && !existsSync(folder) ? text : folder;
}
