/**
 * Proves, with real processes that are killed and stopped, that whatever ends a member ends the team on every rank with the same name, reason and last step, that an orderly end and a stop of one's
 * own accuse nobody, and that a request to stop reaches all.
 * Alone: npx vitest run test/distributed/team.test.ts
 */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import type { TeamFailure } from "../../src/distributed/team.js";
import { freePort } from "./free-port.js";
import { type StartedMember, startMember } from "./started-member.js";

type Trio = [StartedMember, StartedMember, StartedMember];

const beat = 100;

/** Three drivers that have met, and have told each other the steps 10, 11 and 12. By default none ever falls silent. */
async function metTrio(silence = 120_000): Promise<Trio> {
  const port = await freePort();
  const trio = [0, 1, 2].map((rank) => startMember(rank, port, { beat, silence })) as Trio;
  for (const member of trio) await member.next("team");
  trio.forEach((member, rank) => member.tell({ do: "step", step: 10 + rank }));
  // Once a value came round the steps are noted; a heartbeat that is due by then goes out before a process reads the second order after it, however busy the machine is.
  await gathering(trio);
  await sleep(2 * beat);
  await gathering(trio);
  await gathering(trio);
  return trio;
}

async function gathering(members: readonly StartedMember[]): Promise<void> {
  members.forEach((member, i) => member.tell({ do: "gather", value: i }));
  for (const member of members) expect((await member.next("value")).value).toEqual(members.map((_, i) => i));
}

async function failuresOf(members: readonly StartedMember[]): Promise<TeamFailure[]> {
  return await Promise.all(members.map(async (member) => (await member.next("failed")).failure));
}

async function leaving(members: readonly StartedMember[]): Promise<void> {
  for (const member of members) member.tell({ do: "leave" });
  for (const member of members) expect(await member.ended).toBe(0);
}

const typesOf = (member: StartedMember): string[] => member.events.map(({ type }) => type).filter((type) => type !== "value");

it("a member that is killed is named on every other rank, with its last step", async () => {
  const [first, second, third] = await metTrio();
  second.kill("SIGKILL");
  const failure = { rank: 1, host: "n1", why: "connection lost", lastStep: 11 };
  expect(await failuresOf([first, third])).toEqual([failure, failure]);
  // What was to be exchanged isn't waited for any more.
  third.tell({ do: "gather", value: 1 });
  expect((await third.next("error")).message).toBe("rank 1 on node n1: connection lost after step 11");
  await leaving([first, third]);
});

it("rank 0 that is killed is named on every other rank, with its last step", async () => {
  const [first, second, third] = await metTrio();
  second.tell({ do: "gather", value: 1 });
  first.kill("SIGKILL");
  const failure = { rank: 0, host: "n0", why: "connection lost", lastStep: 10 };
  expect(await failuresOf([second, third])).toEqual([failure, failure]);
  expect((await second.next("error")).message).toBe("rank 0 on node n0: connection lost after step 10");
  await leaving([second, third]);
});

it.each([0, 1])("rank %i that is stopped is named by the others within the silence, and learns of it when it goes on", async (rank) => {
  const trio = await metTrio(2000);
  const stopped = trio[rank]!;
  const others = trio.filter((member) => member !== stopped);
  const since = performance.now();
  stopped.kill("SIGSTOP");
  const failure = { rank, host: `n${rank}`, why: "silent for 2 s", lastStep: 10 + rank };
  expect(await failuresOf(others)).toEqual([failure, failure]);
  // Well before a connection would be given up by the kernel, however loaded the machine is.
  expect(performance.now() - since).toBeGreaterThan(1000);
  expect(performance.now() - since).toBeLessThan(20_000);
  stopped.kill("SIGCONT");
  expect(await failuresOf([stopped])).toEqual([failure]);
  await leaving(trio);
});

it("members that were stopped themselves accuse nobody", async () => {
  const trio = await metTrio(2000);
  for (const member of trio) member.kill("SIGSTOP");
  await sleep(4000);
  for (const member of trio) member.kill("SIGCONT");
  await gathering(trio);
  await sleep(1000);
  await gathering(trio);
  await leaving(trio);
  for (const member of trio) expect(typesOf(member)).toEqual(["started", "team"]);
});

it.each([0, 2])("rank %i reports its worker's end, and all hear the same", async (rank) => {
  const trio = await metTrio();
  trio[rank]!.tell({ do: "step", step: 99 });
  trio[rank]!.tell({ do: "report", why: "its worker was ended by SIGKILL" });
  const failure = { rank, host: `n${rank}`, why: "its worker was ended by SIGKILL", lastStep: 99 };
  expect(await failuresOf(trio)).toEqual([failure, failure, failure]);
  // A second failure adds nothing.
  trio[1].kill("SIGKILL");
  await sleep(300);
  await leaving([trio[0], trio[2]]);
  for (const member of [trio[0], trio[2]]) expect(typesOf(member)).toEqual(["started", "team", "failed"]);
});

it("one that reports and leaves at once was heard", async () => {
  const [first, second, third] = await metTrio();
  second.tell({ do: "report", why: "its worker failed" });
  second.tell({ do: "leave" });
  expect(await second.ended).toBe(0);
  expect((await failuresOf([first, third])).map(({ rank, why }) => [rank, why])).toEqual([
    [1, "its worker failed"],
    [1, "its worker failed"],
  ]);
  await leaving([first, third]);
});

it.each([0, 1])("a stop that rank %i was asked for reaches all, once", async (rank) => {
  const trio = await metTrio();
  trio[rank]!.tell({ do: "stop" });
  const by = { rank, host: `n${rank}` };
  for (const member of trio) expect((await member.next("stop")).by).toEqual(by);
  trio[2].tell({ do: "stop" });
  await gathering(trio);
  await leaving(trio);
  for (const member of trio) expect(typesOf(member)).toEqual(["started", "team", "stop"]);
});

it("an orderly end reports nothing, in whatever order", async () => {
  const [first, second, third] = await metTrio(2000);
  await leaving([second]);
  await sleep(2500);
  // Who is gone has no value to give.
  third.tell({ do: "gather", value: 1 });
  expect((await third.next("error")).message).toBe("rank 1: left before all values were exchanged");
  first.tell({ do: "share", value: "last words" });
  await first.next("value");
  await leaving([first]);
  await sleep(2500);
  third.tell({ do: "share", value: null });
  expect((await third.next("value")).value).toBe("last words");
  third.tell({ do: "share", value: null });
  expect((await third.next("error")).message).toBe("rank 0 on node n0: left the team");
  await leaving([third]);
  for (const member of [first, second]) expect(typesOf(member)).toEqual(["started", "team"]);
  expect(typesOf(third)).toEqual(["started", "team", "error", "error"]);
});

it("a value that is too big is refused where it is given", async () => {
  const trio = await metTrio();
  trio[1].tell({ do: "gather", value: "x".repeat(70_000) });
  expect(await trio[1].next("error")).toMatchObject({ name: "RangeError" });
  await leaving(trio);
});
