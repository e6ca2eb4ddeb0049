/**
 * Proves what a tracker does with a server that isn't as it should be: pages of HTML, 429 with Retry-After, errors of all numbers, sockets that hang or break, endless and senseless answers, redirects. Nothing is
 * lost or sent twice, no message holds a password, and the run's end waits no longer than it is told to. Alone: npx vitest run test/tracking/hostile-server.test.ts
 */
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UserError } from "../../src/errors.js";
import type { RunDirectory } from "../../src/tracking/run-directory.js";
import { syncRun, type SyncOutcome } from "../../src/tracking/sync-run.js";
import { Tracker } from "../../src/tracking/tracker.js";
import { temporaryFolder } from "../storage/bad-input.js";
import { HostileServer, type Mischief } from "./hostile-server.js";
import { append, finishRun, makeRun, reach, tracked } from "./made-run.js";

const scratch = temporaryFolder();
let server: HostileServer;
let said: string[] = [];
const never = new AbortController().signal;
const say = (type: string, text: string): void => void said.push(`${type}: ${text}`);
const warnings = (): string[] => said.filter((line) => line.startsWith("warning: "));

beforeEach(async () => {
  said = [];
  server = new HostileServer();
  await server.start();
});
afterEach(() => server.stop());

const trackerOf = (run: RunDirectory, uri = server.uri, more: Parameters<typeof reach>[1] = {}): Tracker =>
  new Tracker({ run, server: reach(uri, { timeout: 500, ...more }), tracked: tracked("x"), every: 20, say });
const sync = (run: RunDirectory, more: Parameters<typeof reach>[1] = {}, retries = 0): Promise<SyncOutcome> =>
  syncRun(run, { server: reach(server.uri, { timeout: 500, ...more }), tracked: tracked("x"), retries, say });
const faultOf = async (body: Promise<unknown>): Promise<string> => {
  const thrown: unknown = await body.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(UserError);
  const { message } = thrown as UserError;
  expect(message).not.toContain("\n");
  return message;
};
const ofGenerator = (to: number): number[] => Array.from({ length: to }, (_, i) => i + 1).filter((step) => step % 3 !== 0);
const answer =
  (status: number, text: string, headers: Record<string, string> = {}): Mischief =>
  (_, response) => {
    response.writeHead(status, headers);
    response.end(text);
    return "done";
  };

/** Only some requests, the first so many of them. */
function first(count: number, path: RegExp, mischief: Mischief): Mischief {
  let left = count;
  return (asked, response, request) => (path.test(asked.path) && left-- > 0 ? mischief(asked, response, request) : undefined);
}

describe("a run that is followed, and a server that", () => {
  it.each<[string, Mischief]>([
    ["answers with HTML", answer(200, "<html><b>Sign in</b></html>", { "content-type": "text/html" })],
    ["has an error of its own", answer(500, '{"error_code":"INTERNAL_ERROR","message":"database is locked"}')],
    ["is overloaded", answer(503, "")],
    ["asks to be left alone", answer(429, "{}", { "retry-after": "1" })],
    ["breaks the connection", (_, response) => (response.destroy(), "done")],
    [
      "breaks it in the middle of its answer",
      (_, response) => (
        response.writeHead(200, { "content-length": "100" }),
        response.write('{"a'),
        setTimeout(() => response.destroy(), 20),
        "done"
      ),
    ],
    ["never answers", () => "done"],
    ["begins to answer and stops", (_, response) => (response.write("{"), "done")],
  ])("%s for a while loses nothing and gets nothing twice", async (_, mischief) => {
    // The worst moment: the batch is taken, the answer is lost.
    server.mischief = first(2, /log-batch/, (asked, response, request) => {
      const { metrics } = JSON.parse(asked.body) as { metrics?: { key: string; step: number }[] };
      server.points.push(...(metrics ?? []));
      return mischief(asked, response, request);
    });
    const run = makeRun(scratch, { steps: 9 });
    const tracker = trackerOf(run);
    tracker.start();
    finishRun(run);
    await tracker.end(20_000, never);
    expect(server.stepsOf("generator/loss")).toEqual(ofGenerator(9));
    expect(server.statuses.at(-1)).toBe("FINISHED");
    expect(warnings().length).toBeLessThanOrEqual(1);
  });

  it("is away from the start gets one warning, and everything when it comes", async () => {
    server.mischief = answer(502, "<html>Bad Gateway</html>");
    const run = makeRun(scratch, { steps: 3 });
    const tracker = trackerOf(run);
    tracker.start();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(warnings()).toEqual([
      expect.stringMatching(
        /^warning: tracking: http:\/\/127\.0\.0\.1:\d+ is away: status 502, Bad Gateway; the run goes on, everything stays in its directory/,
      ),
    ]);
    server.mischief = () => undefined;
    append(run, 4, 6);
    finishRun(run);
    await tracker.end(20_000, never);
    expect(server.stepsOf("generator/loss")).toEqual(ofGenerator(6));
    expect(warnings()).toHaveLength(1);
    expect(said.at(-1)).toMatch(/answers again; what was kept back is sent/);
  });

  it("says Retry-After is left alone for that long", async () => {
    server.mischief = first(1, /get-by-name/, answer(429, "slow down", { "retry-after": "2" }));
    const outcome = await sync(makeRun(scratch, { steps: 1 }), {}, 1);
    expect(outcome.points).toBe(4);
    const [refused, again] = server.asked.filter(({ path }) => path.includes("get-by-name"));
    expect((again?.time ?? 0) - (refused?.time ?? 0)).toBeGreaterThanOrEqual(1990);
  });

  it.each<[string, Mischief]>([
    ["never answers", () => "done"],
    [
      "sends an endless answer, a byte at a time",
      (_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(" "), 50);
        response.on("close", () => clearInterval(timer));
        return "done";
      },
    ],
    ["has errors only", answer(500, "{}")],
    ["asks for an hour", answer(429, "{}", { "retry-after": "3600" })],
  ])("%s holds the end of the run no longer than it may, and the line says what to do", async (_, mischief) => {
    server.mischief = mischief;
    const run = makeRun(scratch, { steps: 3 });
    const tracker = trackerOf(run, server.uri, { timeout: 60_000 });
    tracker.start();
    await new Promise((resolve) => setTimeout(resolve, 100));
    finishRun(run);
    const began = performance.now();
    await tracker.end(1000, never);
    expect(performance.now() - began).toBeLessThan(1500);
    expect(said.at(-1)).toContain(`nothing is lost, send the rest with: tandem runs sync ${run.path}`);
    server.mischief = () => undefined;
    await sync(run);
    expect(server.stepsOf("generator/loss")).toEqual(ofGenerator(3));
  });

  it("answers a byte now and then is given up after the time for a request", async () => {
    server.mischief = (_, response) => {
      const timer = setInterval(() => response.write(" "), 50);
      response.on("close", () => clearInterval(timer));
      return "done";
    };
    const began = performance.now();
    expect(await faultOf(sync(makeRun(scratch)))).toMatch(/is away: no answer \(not within 0\.5 s\)/);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  it("hangs is not waited for when a signal says so, nor where nothing listens at all", async () => {
    server.mischief = () => "done";
    const run = makeRun(scratch, { steps: 3 });
    const hurry = new AbortController();
    const tracker = trackerOf(run, server.uri, { timeout: 60_000 });
    tracker.start();
    setTimeout(() => hurry.abort(), 300);
    const began = performance.now();
    await tracker.end(60_000, hurry.signal);
    expect(performance.now() - began).toBeLessThan(1000);
    const nobody = trackerOf(makeRun(scratch), "http://127.0.0.1:9");
    nobody.start();
    await nobody.end(200, never);
    expect(warnings().at(-2)).toMatch(/127\.0\.0\.1:9 is away: no answer \(ECONNREFUSED\)/);
  });

  it("accepts connections and never reads is given up after the time for a request", async () => {
    const sockets: Socket[] = [];
    const deaf = createServer((socket) => void sockets.push(socket.pause()));
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const run = makeRun(scratch, { steps: 1 });
    const began = performance.now();
    const uri = `http://127.0.0.1:${(deaf.address() as AddressInfo).port}`;
    expect(await faultOf(syncRun(run, { server: reach(uri, { timeout: 300 }), tracked: tracked("x"), retries: 0, say }))).toMatch(
      /is away: no answer \(not within 0\.3 s\)/,
    );
    expect(performance.now() - began).toBeLessThan(2000);
    for (const socket of sockets) socket.destroy();
    deaf.close();
  });
});

describe("a sync refuses in one line", () => {
  it.each<[string, RegExp, Mischief, RegExp]>([
    ["a login page", /./, answer(200, "<html><h1>Sign in</h1></html>"), /answers with something else than JSON \(Sign in\)/],
    ["a redirect", /./, answer(302, "", { location: "https://elsewhere/?password=geheim" }), /redirects elsewhere \(status 302\)/],
    ["a wrong password", /./, answer(401, "You are not authenticated."), /refuses: status 401, You are not authenticated\./],
    ["a missing right", /log-batch/, answer(403, "Permission denied"), /refuses: status 403, Permission denied/],
    ["another kind of JSON", /./, answer(200, "[1, 2]"), /answers with JSON that isn't MLflow's \(no experiment\)/],
    ["null", /./, answer(200, "null"), /answers with JSON that isn't MLflow's/],
    ["nothing", /./, answer(200, ""), /answers with JSON that isn't MLflow's/],
    [
      "a run without an id",
      /runs\/create/,
      answer(200, '{"run":{"info":{"run_id":5}}}'),
      /answers with JSON that isn't MLflow's \(run_id is no text\)/,
    ],
    [
      "letters that move the cursor",
      /./,
      answer(500, '{"error_code":"X","message":"a\\u001b[2Jb\\nc"}'),
      /is away: status 500, X, a \[2Jb c/,
    ],
    ["a novel", /./, answer(400, JSON.stringify({ error_code: "BAD_REQUEST", message: "x".repeat(5000) })), /x{200}…/],
  ])("%s", async (_, path, mischief, expected) => {
    server.mischief = (asked, response, request) => (path.test(asked.path) ? mischief(asked, response, request) : undefined);
    expect(await faultOf(sync(makeRun(scratch, { steps: 1 })))).toMatch(expected);
  });

  it("an answer that doesn't end", async () => {
    server.mischief = (_, response) => {
      response.writeHead(200);
      const pour = (): void => {
        if (response.destroyed) return;
        response.write(" ".repeat(1 << 20), () => setImmediate(pour));
      };
      pour();
      return "done";
    };
    expect(await faultOf(sync(makeRun(scratch), { timeout: 20_000 }))).toMatch(/answers with more than 67108864 bytes/);
  });

  it("and repeats no secret that the server sends back", async () => {
    server.mischief = (asked, response) => {
      response.writeHead(400);
      response.end(
        JSON.stringify({ error_code: "BAD_REQUEST", message: `${asked.authorization ?? ""} user:geheim http://user:geheim@host/` }),
      );
      return "done";
    };
    const encoded = Buffer.from("user:geheim").toString("base64");
    const message = await faultOf(sync(makeRun(scratch), { authorization: `Basic ${encoded}`, secrets: [encoded, "geheim"] }));
    expect(server.asked[0]?.authorization).toBe(`Basic ${encoded}`);
    expect(message).toContain("Basic *** user:*** http://***@host/");
    expect(message).not.toMatch(new RegExp(`geheim|${encoded}`));
  });

  it("a run that another process sends", async () => {
    const run = makeRun(scratch);
    server.mischief = () => "done";
    const tracker = trackerOf(run);
    tracker.start();
    expect(await faultOf(sync(run))).toMatch(/is being sent by another process; let the run end, or wait for that process/);
    await tracker.end(0, never);
  });
});

describe("files", () => {
  it("are sent whole, hidden ones and half-written ones not; one that is refused is named and doesn't hold up the others", async () => {
    const run = makeRun(scratch, { steps: 1 });
    finishRun(run);
    server.mischief = (asked, response, request) =>
      asked.path.endsWith("report.txt") ? answer(403, "no")(asked, response, request) : undefined;
    const { files } = await sync(run);
    const sent = [...server.files.keys()].map((name) => name.replace(/^.*artefacts?\/|^.*artifacts\//, ""));
    expect(sent).toEqual(expect.arrayContaining(["config.yaml", "report.json", "report.html"]));
    expect(sent).not.toContain("report.txt");
    expect(files).toBe(server.files.size);
    expect(warnings()).toEqual([expect.stringMatching(/artefact report\.txt is refused \(status 403, no\) and left out/)]);
  });

  it("aren't sent to a store outside of the server, which is said once", async () => {
    server.mischief = (asked, response) => {
      if (!asked.path.includes("runs/create")) return undefined;
      const info = {
        run_id: "b".repeat(32),
        experiment_id: "1",
        status: "RUNNING",
        lifecycle_stage: "active",
        artifact_uri: "s3://bucket/1/b/artifacts",
      };
      response.end(JSON.stringify({ run: { info, data: {} } }));
      return "done";
    };
    expect((await sync(makeRun(scratch, { steps: 1 }))).files).toBe(0);
    expect(warnings()).toEqual([
      expect.stringMatching(/keeps artefacts at s3:\/\/bucket\/1\/b\/artifacts, outside of itself: no files are sent/),
    ]);
  });
});
