/**
 * Proves, with real processes, that the drivers of a job find each other in any order, that who doesn't belong is named and sent away, that a difference inside the job ends the meeting on every rank
 * with one reason, and that rubbish on the port disturbs nobody.
 * Alone: npx vitest run test/distributed/rendezvous.test.ts
 */
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { rendezvous } from "../../src/distributed/rendezvous.js";
import { failureError } from "../../src/distributed/team.js";
import { freePort } from "./free-port.js";
import { type StartedMember, startMember } from "./started-member.js";

const members = [0, 1, 2].map((rank) => ({ rank, host: `n${rank}` }));

async function meeting(started: readonly StartedMember[]): Promise<void> {
  for (const member of started) expect((await member.next("team")).members).toEqual(members);
}

async function leaving(started: readonly StartedMember[]): Promise<void> {
  for (const member of started) member.tell({ do: "leave" });
  for (const member of started) expect(await member.ended).toBe(0);
}

async function errorsOf(started: readonly StartedMember[]): Promise<string[]> {
  return await Promise.all(started.map(async (member) => (await member.next("error")).message));
}

/** Connects as soon as somebody listens. */
async function connected(port: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ host: "127.0.0.1", port });
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.on("error", () => resolve(false));
    });
    if (isThere) return socket;
    await sleep(50);
  }
}

it("three processes meet, also when rank 0 comes last, and tell each other values", async () => {
  const port = await freePort();
  const late = [2, 1].map((rank) => startMember(rank, port));
  for (const member of late) await member.next("started");
  await sleep(300);
  const started = [startMember(0, port), ...late];
  await meeting(started);
  started.forEach((member, i) => member.tell({ do: "share", value: { from: i } }));
  for (const member of started) expect((await member.next("value")).value).toEqual({ from: 0 });
  started.forEach((member, i) => member.tell({ do: "gather", value: i === 1 ? null : `value ${i}` }));
  // Rank 1 hears rank 0's next value before it asks for it.
  for (const member of started) expect((await member.next("value")).value).toEqual(expect.arrayContaining([null, "value 0"]));
  started[0]!.tell({ do: "share", value: "early" });
  await started[0]!.next("value");
  for (const member of late) member.tell({ do: "share", value: "ignored" });
  for (const member of late) expect((await member.next("value")).value).toBe("early");
  await leaving(started);
});

it("one process is a team at once, without a port", async () => {
  const place = { rank: 0, size: 1, host: "127.0.0.1", port: 1, jobId: "17", attempt: 0 };
  const team = await rendezvous({ place, version: "0.1.0", configHash: "c0ffee", hostName: "n0" });
  expect([team.rank, team.size, team.members]).toEqual([0, 1, [{ rank: 0, host: "n0" }]]);
  expect(await team.share({ a: 1 })).toEqual({ a: 1 });
  expect(await team.gather("x")).toEqual(["x"]);
  team.noteStep(4);
  team.broadcastStop();
  expect(await team.stopAsked).toEqual({ rank: 0, host: "n0" });
  team.report("its worker was ended by SIGKILL");
  expect(await team.failed).toEqual({ rank: 0, host: "n0", why: "its worker was ended by SIGKILL", lastStep: 4 });
  expect(failureError(await team.failed).message).toBe("rank 0 on node n0: its worker was ended by SIGKILL after step 4");
  await expect(team.gather("y")).rejects.toThrow("rank 0 on node n0: its worker was ended by SIGKILL after step 4");
  await team.leave();
});

it.each([
  [{ configHash: "decaf" }, "has another config; expected hash c0ffee, got hash decaf; give every process the same config and overrides"],
  [{ version: "0.2.0" }, "runs another Tandem; expected version 0.1.0, got version 0.2.0; run the same Tandem on every node"],
  [{ size: 4 }, "counts another number of processes; expected 3, got 4; start all processes by one launcher"],
])("%o ends the meeting on every rank with the same reason, also on one that comes later", async (difference, what) => {
  const port = await freePort();
  const first = [startMember(0, port), startMember(2, port, difference)];
  const reason = `rank 2 of job 17 on node n2: ${what}`;
  expect((await first[1]!.next("error")).message).toBe(reason);
  const last = startMember(1, port);
  expect(await errorsOf([first[0]!, last])).toEqual([reason, reason]);
  for (const member of [...first, last]) expect(await member.ended).toBe(0);
});

it("a stray, a straggler of an earlier attempt and a rank that is taken are named and sent away; the meeting goes on", async () => {
  const port = await freePort();
  const first = startMember(0, port, { attempt: 1 });
  const second = startMember(1, port, { attempt: 1 });
  const others = [startMember(1, port, { attempt: 1, jobId: "18\u001b[2J", configHash: "decaf" }), startMember(2, port, { attempt: 0 })];
  const [stray, straggler] = await errorsOf(others);
  expect(stray).toBe(
    "rank 1 of job 18?[2J on node n1: came to another job's meeting; expected job 17, got job 18?[2J; give each job a port of its own: TANDEM_PORT",
  );
  expect(straggler).toBe(
    "rank 2 of job 17 on node n2: is of another attempt; expected attempt 1, got attempt 0; end what is left of the earlier attempt",
  );
  const warnings = [await first.next("warning"), await first.next("warning")].map(({ text }) => text);
  expect(warnings.sort()).toEqual([stray, straggler]);
  // Whichever of the two ranks 1 comes later is sent away.
  const twin = startMember(1, port, { attempt: 1, hostName: "n9" });
  const taken = (await first.next("warning")).text;
  expect(taken).toMatch(
    /^rank 1 of job 17 on node n[19]: its rank is taken; expected one process a rank, got another on node n[19]; start all/,
  );
  const refused = taken.includes("on node n9:") ? twin : second;
  expect((await refused.next("error")).message).toBe(taken);
  const third = startMember(2, port, { attempt: 1 });
  const started = [first, refused === twin ? second : twin, third];
  for (const member of started) expect((await member.next("team")).members).toHaveLength(3);
  await leaving(started);
});

it("rubbish on the port disturbs nobody", async () => {
  const port = await freePort();
  const first = startMember(0, port);
  const sockets = [];
  for (const rubbish of [
    "GET / HTTP/1.1\r\nHost: n0\r\n\r\n",
    "null\n",
    '{"tandem":1}\n',
    '{"tandem":1,"version":"0.1.0","job":"17","attempt":0,"size":3,"rank":-1,"config":"c0ffee","host":"n1"}\n',
    Buffer.alloc(100_000, 0xff),
    "[".repeat(10_000) + "\n",
    "",
  ]) {
    const socket = await connected(port);
    sockets.push(socket);
    socket.write(rubbish);
  }
  const scanner = await connected(port);
  scanner.resetAndDestroy();
  const started = [first, startMember(1, port), startMember(2, port)];
  await meeting(started);
  // Also the one that said nothing is gone by now.
  for (const socket of sockets) if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve).resume());
  await leaving(started);
  expect(first.events.map(({ type }) => type)).toEqual(["started", "team"]);
});

it("at the deadline all who came hear who is missing", async () => {
  const port = await freePort();
  const here = startMember(2, port, { size: 4 });
  await here.next("started");
  // Whose own deadline is far away: rank 0's counts.
  const started = [startMember(0, port, { size: 4, deadline: 4000 }), here];
  const [first, second] = await errorsOf(started);
  expect(first).toMatch(/^job 17 at 127\.0\.0\.1:\d+: ranks 1, 3 of 4 didn't come within 4 s; look at/);
  expect(second).toBe(first);
  for (const member of started) expect(await member.ended).toBe(0);
});

it("a member that dies while it waits is missing again, and its next process is taken in", async () => {
  const port = await freePort();
  const host = "localhost";
  const [first, lost] = [startMember(0, port, { host }), startMember(1, port, { host, hostName: "dead" })];
  await first.next("started");
  await lost.next("started");
  await sleep(300);
  lost.kill("SIGKILL");
  await lost.ended;
  const started = [first, startMember(1, port, { host }), startMember(2, port, { host })];
  await meeting(started);
  await leaving(started);
});

it("without rank 0 the others say that they couldn't reach it, and what answers instead", async () => {
  const options = { deadline: 1200 };
  const nobody = startMember(1, await freePort(), options);
  const server = createServer((socket) =>
    socket
      .resume()
      .on("error", () => undefined)
      .end("HTTP/1.1 400 Bad Request\r\n\r\n"),
  );
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const other = startMember(1, port, options);
  // The server's port isn't rank 0's to take either.
  const first = startMember(0, port, options);
  const errors = await errorsOf([nobody, other, first]);
  expect(errors[0]).toMatch(/: rank 0 wasn't met by rank 1 on node n1 within 1\.2 s: nobody listens there; look at/);
  expect(errors[1]).toMatch(/: rank 0 wasn't met by rank 1 on node n1 within 1\.2 s: no message: a line isn't JSON; look at/);
  expect(errors[2]).toMatch(/^job 17 at 127\.0\.0\.1:\d+: another process listens on this port; expected a free port .* set TANDEM_PORT/);
  await new Promise((resolve) => server.close(resolve));
});

it("a signal ends the waiting: rank 0 tells why, another is missing from then on", async () => {
  const port = await freePort();
  const [first, second, third] = [0, 1, 2].map((rank) => startMember(rank, port, { size: 4 }));
  for (const member of [first!, second!, third!]) await member.next("started");
  await sleep(1000);
  third!.tell({ do: "abort" });
  expect((await third!.next("error")).name).toBe("AbortError");
  first!.tell({ do: "abort" });
  expect((await first!.next("error")).name).toBe("AbortError");
  expect((await second!.next("error")).message).toMatch(/: rank 0 on node n0 was asked to stop while it waited for the others$/);
});
