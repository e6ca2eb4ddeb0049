/**
 * A model hub on this machine that speaks the hub's protocol, for tests: `/api/models/<id>/revision/<rev>`, `/api/models/<id>/tree/<rev>[/<folder>]`, `/<id>/resolve/<rev>/<file>` with ETag, X-Repo-Commit, and large files
 * redirected to another origin with X-Linked-Size and X-Linked-Etag. It can cut connections, ask for a token, be busy, and send other bytes than it promised; it keeps what it was asked.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** How the server behaves; a test changes it between two requests. */
export interface HubTroubles {
  /** Bytes of a body after which the connection is cut, and how often that happens. */
  cut?: { after: number; times: number };
  /** So many requests for content are answered with this status. */
  busy?: { status: number; times: number };
  /** The token without which there is nothing. */
  token?: string;
  /** Large files are sent whole, whatever the Range. */
  ignoresRange?: boolean;
  /** One byte of each large file is another than its hash says. */
  corrupts?: boolean;
  /** Status and error code of every answer. */
  refuses?: { status: number; code?: string };
  /** The ETag of every file, in place of its hash. */
  etag?: string;
  /** Milliseconds before each piece of a large file. */
  slow?: number;
  /** Answers in the server's place; false: the server answers. */
  mischief?: (host: "hub" | "cdn", request: IncomingMessage, response: ServerResponse) => boolean;
}

interface HubQuestion {
  readonly host: "hub" | "cdn";
  readonly method: string;
  readonly path: string;
  readonly token: string | undefined;
  readonly range: string | undefined;
}

export interface HubServer {
  readonly endpoint: string;
  readonly asked: HubQuestion[];
  troubles: HubTroubles;
  /** Puts a commit on a branch. Files of more than `LARGE` bytes count as large. */
  commit(name: string, commit: string, files: Readonly<Record<string, Uint8Array | string>>, revisions?: readonly string[]): void;
  close(): Promise<void>;
}

export const LARGE = 65_536;

interface Repository {
  readonly revisions: Map<string, string>;
  readonly commits: Map<string, Map<string, Buffer>>;
}

export async function startHub(): Promise<HubServer> {
  const repositories = new Map<string, Repository>();
  const asked: HubQuestion[] = [];
  const blobs = new Map<string, Buffer>();
  const state: { troubles: HubTroubles; cdn: string } = { troubles: {}, cdn: "" };
  const note = (host: "hub" | "cdn", request: IncomingMessage): void => {
    const { method = "", url = "", headers } = request;
    asked.push({ host, method, path: url, token: headers.authorization, range: headers.range });
  };
  const hub = await listening((request, response) => {
    note("hub", request);
    if (state.troubles.mischief?.("hub", request, response) === true) return;
    const { refuses, token } = state.troubles;
    const isKnown = token === undefined || request.headers.authorization === `Bearer ${token}`;
    if (refuses !== undefined) {
      refuse(response, refuses.status, refuses.code);
      return;
    }
    if (!isKnown) {
      refuse(response, 401, "RepoNotFound");
      return;
    }
    answer(request, response, repositories, state);
  });
  const cdn = await listening((request, response) => {
    note("cdn", request);
    if (state.troubles.mischief?.("cdn", request, response) === true) return;
    const content = blobs.get(new URL(request.url ?? "", "http://cdn").pathname.slice(1));
    if (content === undefined) {
      refuse(response, 404);
      return;
    }
    send(request, response, content, state.troubles);
  });
  // Another host, as the hub has it: a client must not take both for one.
  state.cdn = cdn.origin.replace("127.0.0.1", "localhost");
  return {
    endpoint: hub.origin,
    asked,
    get troubles() {
      return state.troubles;
    },
    set troubles(value) {
      state.troubles = value;
    },
    commit: (name, commit, files, revisions = ["main"]) => {
      const repository = repositories.get(name) ?? {
        revisions: new Map<string, string>(),
        commits: new Map<string, Map<string, Buffer>>(),
      };
      repositories.set(name, repository);
      const contents = Object.entries(files).map(([file, content]) => [file, Buffer.from(content)] as const);
      repository.commits.set(commit, new Map(contents));
      for (const revision of revisions) repository.revisions.set(revision, commit);
      for (const [, content] of contents) blobs.set(sha256(content), content);
    },
    close: async () => {
      for (const { server } of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

async function listening(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ server: Server; origin: string }> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  repositories: ReadonlyMap<string, Repository>,
  { troubles, cdn }: { troubles: HubTroubles; cdn: string },
): void {
  const { pathname } = new URL(request.url ?? "", "http://hub");
  const [, api, tree] = /^\/api\/models\/(.+?)\/(?:revision|(tree))\/[^/]+/.exec(pathname) ?? [];
  const [, name = api ?? ""] = /^\/(.+?)\/resolve\//.exec(pathname) ?? [];
  const repository = repositories.get(name);
  if (repository === undefined) {
    refuse(response, 404, "RepoNotFound");
    return;
  }
  const [, revision = "", file = ""] = /\/(?:revision|tree|resolve)\/([^/]+)\/?(.*)$/.exec(pathname) ?? [];
  const asked = decodeURIComponent(revision);
  const commit = repository.commits.has(asked) ? asked : repository.revisions.get(asked);
  const files = repository.commits.get(commit ?? "");
  if (commit === undefined || files === undefined) {
    refuse(response, 404, "RevisionNotFound");
    return;
  }
  if (api !== undefined && tree !== undefined) {
    const below = [...files].filter(([path]) => file === "" || path.startsWith(`${decodeURIComponent(file)}/`));
    if (below.length === 0) refuse(response, 404, "EntryNotFound", commit);
    else json(response, listing(new Map(below)));
    return;
  }
  if (api !== undefined) {
    json(response, description(name, commit, files));
    return;
  }
  const content = files.get(decodeURIComponent(file));
  if (content === undefined) {
    refuse(response, 404, "EntryNotFound", commit);
    return;
  }
  response.setHeader("X-Repo-Commit", commit);
  if (content.length <= LARGE) {
    response.setHeader("ETag", `"${troubles.etag ?? gitHash(content)}"`);
    send(request, response, content, {});
    return;
  }
  const hash = troubles.etag ?? sha256(content);
  response.writeHead(302, {
    Location: `${cdn}/${sha256(content)}?Signature=secret-of-the-cdn`,
    "X-Linked-Size": content.length,
    "X-Linked-Etag": `"${hash}"`,
    ETag: '"of the redirect"',
  });
  response.end("Found. Redirecting.");
}

function send(request: IncomingMessage, response: ServerResponse, content: Buffer, troubles: HubTroubles): void {
  const { busy, cut, corrupts, ignoresRange } = troubles;
  if (busy !== undefined && busy.times > 0) {
    busy.times -= 1;
    refuse(response, busy.status);
    return;
  }
  const start = ignoresRange === true ? 0 : Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? "0");
  if (start > 0 && start >= content.length) {
    refuse(response, 416);
    return;
  }
  const sent = Buffer.from(content.subarray(start));
  if (corrupts === true) sent[0] = (sent[0] ?? 0) ^ 1;
  if (start > 0) response.setHeader("Content-Range", `bytes ${start}-${content.length - 1}/${content.length}`);
  response.writeHead(start > 0 ? 206 : 200, { "Content-Length": sent.length });
  if (request.method === "HEAD") response.end();
  else if (cut !== undefined && cut.times > 0 && cut.after < sent.length) {
    cut.times -= 1;
    response.write(sent.subarray(0, cut.after), () => setTimeout(() => response.destroy(), 20));
  } else if (troubles.slow !== undefined) drip(response, sent, troubles.slow);
  else response.end(sent);
}

function drip(response: ServerResponse, content: Buffer, pause: number): void {
  setTimeout(() => {
    if (content.length === 0) response.end();
    else response.write(content.subarray(0, 1024), () => drip(response, content.subarray(1024), pause));
  }, pause);
}

function refuse(response: ServerResponse, status: number, code?: string, commit?: string): void {
  if (code !== undefined) response.setHeader("X-Error-Code", code);
  if (commit !== undefined) response.setHeader("X-Repo-Commit", commit);
  response.writeHead(status);
  response.end();
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

function description(name: string, commit: string, files: ReadonlyMap<string, Buffer>): unknown {
  return {
    _id: "1",
    id: name,
    modelId: name,
    sha: commit,
    private: false,
    tags: [],
    siblings: [...files.keys()].map((rfilename) => ({ rfilename })),
  };
}

function listing(files: ReadonlyMap<string, Buffer>): unknown {
  return [...files].map(([path, content]) => ({
    type: "file",
    path,
    size: content.length,
    oid: gitHash(content),
    ...(content.length > LARGE ? { lfs: { oid: sha256(content), size: content.length, pointerSize: 134 } } : {}),
  }));
}

export function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

export function gitHash(content: Uint8Array): string {
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
}
