/**
 * A model of the hub as a folder of this machine: asked for and fetched, or the cached snapshot where there is no network. What of it is fetched is hub-files.ts; how, src/storage.
 * The trap: a snapshot is linked together only when all its files are there, so whatever ends the process leaves either no snapshot or one without weights.
 */
import path from "node:path";
import { hubNameText, type HubName } from "../../config/model-name.js";
import type { HubSettings } from "../../config/hub-settings.js";
import { UserError } from "../../errors.js";
import { COMMIT, HubCache } from "../../storage/hub-cache.js";
import { bytesLeft, factsOf, fetchBlob, type DownloadReport, type HubFileFacts } from "../../storage/hub-download.js";
import { askHub, HubUnreachable, type HubAnswer } from "../../storage/hub-request.js";
import { expectObject, parseJson, readJson } from "../../storage/json-file.js";
import { conversion, pickleOf, wantedFiles, type ModelListing, type ModelRole } from "./hub-files.js";
import type { Report } from "../reporter.js";

export interface FetchOptions {
  readonly hub: HubSettings;
  readonly report: Report;
  readonly role?: ModelRole;
  /** The key or option that names the model, for messages. */
  readonly setting?: string;
  /** Told the commit as soon as it is known, before anything is fetched. */
  readonly onCommit?: (commit: string) => void;
}

export interface FetchedModel {
  /** The snapshot. */
  readonly folder: string;
  readonly name: string;
  readonly revision: string;
  readonly commit: string;
  /** `cache`: the hub wasn't asked. */
  readonly from: "hub" | "cache";
  /** Bytes that came over the network. */
  readonly fetched: number;
}

/** The model's list of files is a few kilobytes; a server that sends more isn't a hub. */
const LONGEST_LISTING = 64 * 1024 * 1024;

/**
 * Makes the model stand in the cache. A whole commit that is there already is taken without asking the hub.
 *
 * @throws UserError in one line: no such model or revision, a token that is wanting or refused, pickles (with the command that converts), no network and nothing cached (with the command to run where there is one)
 */
export async function fetchModel(wanted: HubName, options: FetchOptions): Promise<FetchedModel> {
  const { hub, report } = options;
  const cache = new HubCache(hub.cache, wanted.name);
  if (COMMIT.test(wanted.revision)) {
    const known = await cached(cache, wanted, wanted.revision);
    if (known !== undefined && known.unknown.length === 0) return { ...known.model, from: "cache" };
  }
  if (hub.offline) return fromCache(cache, wanted, "HF_HUB_OFFLINE is set", options);
  let listing: Awaited<ReturnType<typeof listFiles>>;
  try {
    listing = await listFiles(wanted, hub);
  } catch (error) {
    if (!(error instanceof HubUnreachable)) throw error;
    return fromCache(cache, wanted, `${error.fault.where}: ${error.fault.what} (${error.fault.got ?? "no answer"})`, options);
  }
  options.onCommit?.(listing.commit);
  report({ type: "stage", name: "fetching", detail: `${hubNameText(wanted)}, commit ${listing.commit}, into ${hub.cache}` });
  return download(cache, wanted, listing, options);
}

/** The commit of a revision and the names of its files. */
async function listFiles(wanted: HubName, hub: HubSettings, isAgain = false): Promise<{ commit: string; names: ReadonlySet<string> }> {
  const address = `${hub.endpoint}/api/models/${wanted.name}/revision/${encodeURIComponent(wanted.revision)}`;
  const answer = await askHub(hub, address);
  if (answer.status !== 200) {
    answer.close();
    throw refusal(wanted, hub)(answer);
  }
  const where = `${hub.endpoint}/api/models/${wanted.name}`;
  let text: string;
  try {
    text = await textOf(answer, where);
  } catch (error) {
    // The request is repeated until its answer begins; here it broke off later.
    if (error instanceof HubUnreachable && !isAgain) return listFiles(wanted, hub, true);
    throw error;
  }
  const { sha, siblings } = expectObject(hubJson(text, where), where);
  if (typeof sha !== "string" || !COMMIT.test(sha) || !Array.isArray(siblings))
    throw new UserError({
      where,
      what: "is not a model hub's answer",
      expected: "the fields 'sha' and 'siblings'",
      remedy: "check HF_ENDPOINT",
    });
  const names = siblings.map((entry) => expectObject(entry, where)["rfilename"]).filter((name) => typeof name === "string");
  return { commit: sha, names: new Set(names) };
}

/** A network's login page is an answer with status 200, so what isn't JSON counts as no answer of the hub's. */
function hubJson(text: string, where: string): unknown {
  try {
    return parseJson(text, where);
  } catch {
    throw new HubUnreachable({
      where,
      what: "something else than a hub answers",
      got: `${/^\s*</.test(text) ? "a web page" : "no JSON"}: HF_ENDPOINT may be wrong, or the network wants a login`,
      remedy: "check HF_ENDPOINT and the network",
    });
  }
}

async function textOf(answer: HubAnswer, where: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of answer.body()) {
    pieces.push(piece);
    length += piece.length;
    if (length > LONGEST_LISTING) throw new UserError({ where, what: "sends too much to be a model hub", remedy: "check HF_ENDPOINT" });
  }
  return Buffer.concat(pieces).toString("utf8");
}

async function download(
  cache: HubCache,
  wanted: HubName,
  { commit, names }: { commit: string; names: ReadonlySet<string> },
  options: FetchOptions,
): Promise<FetchedModel> {
  const { hub, report } = options;
  const facts = new Map<string, HubFileFacts>();
  const counted = countBytes(report);
  const factsFor = async (file: string): Promise<HubFileFacts> => {
    const found = facts.get(file) ?? (await factsOf(hub, wanted.name, { commit, file }, refusal(wanted, hub, file)));
    facts.set(file, found);
    return found;
  };
  const listing: ModelListing = {
    where: wanted.name,
    has: (file) => names.has(file),
    json: async (file) => {
      if (cache.has(commit, file)) return readJson(path.join(cache.snapshot(commit), file));
      const found = await factsFor(file);
      counted.expect(bytesLeft(cache, found));
      await fetchBlob(hub, cache, found, counted);
      return readJson(cache.blob(found.etag));
    },
  };
  const { files, absent, missing } = await wantedFiles(listing);
  if (missing.length > 0) throw unreadable(listing, wanted, missing, options);
  const lacking = files.filter((file) => !cache.has(commit, file));
  for (const file of lacking) {
    const isCounted = facts.has(file);
    const found = await factsFor(file);
    if (!isCounted) counted.expect(bytesLeft(cache, found));
  }
  for (const file of lacking) await fetchBlob(hub, cache, await factsFor(file), counted);
  // A cache may be read-only when all is there: nothing is written then.
  for (const file of absent) if (lacking.length > 0) cache.noteAbsent(commit, file);
  for (const file of lacking) cache.link(commit, file, (await factsFor(file)).etag);
  cache.noteCommit(wanted.revision, commit);
  return { folder: cache.snapshot(commit), ...wanted, commit, from: "hub", fetched: counted.fetched() };
}

/** Bytes as progress: what has come of what had still to come. */
function countBytes(report: Report): DownloadReport & { expect(bytes: number): void; fetched(): number } {
  let [done, total, came] = [0, 0, 0];
  return {
    expect: (bytes) => (total += bytes),
    fetched: () => came,
    bytes: (count) => {
      done += count;
      came += Math.max(0, count);
      // A server that begins again sends what was counted as there already.
      if (count < 0) total -= Math.min(0, done);
      done = Math.max(0, done);
      report({ type: "progress", name: "fetching", done, total: Math.max(total, done), detail: "bytes" });
    },
    note: (text) => report({ type: "note", text }),
    warn: (text) => report({ type: "warning", text }),
  };
}

/** The snapshot of a commit if it is whole, and what nothing says of it: files that it hasn't and the hub may have. */
async function cached(
  cache: HubCache,
  wanted: HubName,
  commit: string,
): Promise<{ model: Omit<FetchedModel, "from">; unknown: string[] } | undefined> {
  const { absent, missing } = await wantedFiles(snapshotListing(cache, commit));
  // Python may have been asked for some of the files only.
  if (missing.length > 0 || absent.some((file) => cache.isListed(commit, file))) return undefined;
  const model = { folder: cache.snapshot(commit), ...wanted, commit, fetched: 0 };
  return { model, unknown: absent.filter((file) => !cache.isAbsent(commit, file)) };
}

function snapshotListing(cache: HubCache, commit: string): ModelListing {
  const folder = cache.snapshot(commit);
  return {
    where: folder,
    has: (file) => cache.has(commit, file),
    json: (file) => Promise.resolve(readJson(path.join(folder, file))),
  };
}

/** A snapshot that holds pickles isn't mended by fetching it again. */
async function refusePickles(cache: HubCache, wanted: HubName, commit: string, options: FetchOptions): Promise<void> {
  const listing = snapshotListing(cache, commit);
  const { missing } = await wantedFiles(listing);
  if (pickleOf(listing, missing) !== undefined) throw unreadable(listing, wanted, missing, options);
}

/** The snapshot in the cache, for want of a network. */
async function fromCache(cache: HubCache, wanted: HubName, why: string, options: FetchOptions): Promise<FetchedModel> {
  const commit = cache.commitOf(wanted.revision);
  const found = commit === undefined ? undefined : await cached(cache, wanted, commit);
  if (found === undefined && commit !== undefined) await refusePickles(cache, wanted, commit, options);
  if (found === undefined || commit === undefined)
    throw new UserError({
      where: nameIn(wanted, options),
      what: `no folder of this name, ${commit === undefined ? "nothing" : "no whole snapshot"} of such a model in the cache (${cache.cache}), and ${why}`,
      remedy: `on a machine with a network, such as a login node, run: tandem fetch ${hubNameText(wanted)}`,
    });
  options.onCommit?.(commit);
  const { report, hub } = options;
  report({ type: hub.offline ? "note" : "warning", text: `${hubNameText(wanted)}: ${why}; the cached commit ${commit} is used` });
  if (found.unknown.includes("modules.json") && options.role !== "generator")
    report({
      type: "warning",
      text: `${hubNameText(wanted)}: the cached snapshot has no modules.json, and nothing says whether the hub has one; without it vectors are means of the tokens`,
    });
  return { ...found.model, from: "cache" };
}

function nameIn(wanted: HubName, { setting }: FetchOptions): string {
  return `${setting === undefined ? "" : `${setting}: `}${hubNameText(wanted)}`;
}

/** Pickles, an old tokenizer, or no model at all. */
function unreadable(listing: ModelListing, wanted: HubName, missing: readonly string[], options: FetchOptions): UserError {
  const where = nameIn(wanted, options);
  const pickle = pickleOf(listing, missing);
  if (pickle !== undefined)
    return new UserError({
      where,
      what: "has no safetensors weights, and a pickle can run code when it is opened",
      expected: "model.safetensors",
      got: pickle,
      remedy: conversion(listing, wanted, options),
    });
  const isOldTokenizer = missing.every((file) => file.endsWith("tokenizer.json"));
  return new UserError({
    where,
    what: isOldTokenizer ? "has only an old tokenizer" : "is not a model that Tandem reads",
    expected: missing.map((file) => path.basename(file)).join(", "),
    remedy: isOldTokenizer ? conversion(listing, wanted, options) : "name another model",
  });
}

/** What a status that isn't 200 means. */
function refusal(wanted: HubName, hub: HubSettings, file?: string): (answer: HubAnswer) => UserError {
  return (answer) => {
    const where = `${hubNameText(wanted)} on ${hub.endpoint}`;
    const code = answer.header("x-error-code");
    const got = `status ${answer.status}${code === undefined || !/^\w{1,40}$/.test(code) ? "" : `, ${code}`}`;
    const login = "set HF_TOKEN, or log in with: hf auth login";
    if (code === "GatedRepo" || answer.status === 403)
      return new UserError({
        where,
        what:
          code === "GatedRepo"
            ? "the model is behind a gate"
            : "the way is barred: by a gate before the model, the token's rights, or a proxy",
        got,
        remedy: `ask for access at ${hub.endpoint}/${wanted.name}${hub.token === undefined ? `, then ${login}` : " with the account of HF_TOKEN or the token file"}`,
      });
    if (code === "EntryNotFound" && file !== undefined)
      return new UserError({
        where,
        what: `the hub lists ${file} and doesn't have it`,
        got,
        remedy: "try again, or name another @revision",
      });
    if (code === "RevisionNotFound")
      return new UserError({ where, what: `the model has no revision '${wanted.revision}'`, got, remedy: "check it" });
    if (answer.status === 401 && hub.token !== undefined)
      return new UserError({
        where,
        what: "no such model, or the token may not read it",
        got,
        remedy: "check the name, and HF_TOKEN or the token file",
      });
    if (answer.status === 401 || answer.status === 404)
      return new UserError({
        where,
        what: "no folder of this name here and no such model on the hub, or it is private",
        got,
        remedy: `check the name; if the model is private, ${login}`,
      });
    return new UserError({ where, what: "the hub refuses", got, remedy: "check the name and HF_ENDPOINT" });
  };
}
