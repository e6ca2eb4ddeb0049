/**
 * Proves that a process group does what it says among real processes, and that the single process has the same contract: sums, copies, gatherings, and gradients summed by libtorch's reducer, also for a
 * member that has nothing to add and after passes of its own. Alone: npx vitest run test/distributed/process-group.test.ts
 */
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { openProcessGroup, openStore, SINGLE_PROCESS } from "../../src/distributed/process-group.js";
import { expectAll, triangle } from "./expected-findings.js";
import program, { LONG, type GroupFindings } from "./group-program.js";
import { runRanks } from "./ranks.js";

describe("a process group", () => {
  it.each([2, 3, 4])("of %i processes", async (size) => {
    const findings = await runRanks<GroupFindings>("group-program.ts", size);
    expect(findings).toHaveLength(size);
    expectAll(findings);
    for (const { long } of findings) expect(long).toEqual(LONG.map((length) => [...Array<number>(size - 1).fill(3), length]));
    for (const [rank, { gradients, outOfStep }] of findings.entries()) {
      const [other, theirs, own] = rank === 0 ? [1, "terms", "counts"] : [0, "counts", "terms"];
      expect(outOfStep).toContain(`out of step: rank ${other} tells its ${theirs} where this one tells its ${own}`);
      expect(gradients["the first has nothing"]).toEqual([triangle(size) - 1, undefined, undefined]);
      // The pass of weight zero reaches the first parameter.
      expect(gradients["nobody has anything"]).toEqual([0, undefined, undefined]);
    }
  });

  it("of one process", () => {
    const found = program(SINGLE_PROCESS);
    expectAll([found]);
    expect(found.gradients["the first has nothing"]).toEqual([0, undefined, undefined]);
  });

  it("of one process that is alone in a real one", async () => {
    expectAll(await runRanks<GroupFindings>("group-program.ts", 1));
  });
});

describe("a store", () => {
  it("listens on its own address alone", async () => {
    const store = openStore({ host: "127.0.0.1", port: 0, isServer: true, timeout: 500 });
    const reach = (host: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ host, port: store.port });
        socket.once("connect", () => resolve("open"));
        socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
        socket.once("close", () => socket.destroy());
      });
    expect(await reach("127.0.0.1")).toBe("open");
    // Another address of this machine, which a store that listens everywhere would answer at.
    expect(await reach("127.0.0.2")).toBe("ECONNREFUSED");
    store.close();
  });

  it("says which address it can't have", () => {
    expect(() => openStore({ host: "192.0.2.1", port: 0, isServer: true, timeout: 500 })).toThrow(
      /192\.0\.2\.1:0: Cannot assign requested address/,
    );
  });
});

describe("what can't be", () => {
  it("names the place where there is no store", () => {
    expect(() => openStore({ host: "127.0.0.1", port: 1, isServer: false, timeout: 500 })).toThrow(/openStore/);
  });

  it("says that a member didn't come", () => {
    const store = openStore({ host: "127.0.0.1", port: 0, isServer: true, timeout: 500 });
    expect(() => openProcessGroup({ store, name: "alone", rank: 0, size: 2, address: "127.0.0.1", timeout: 500 })).toThrow(/openGroup/);
    store.close();
    expect(() => openProcessGroup({ store, name: "closed", rank: 0, size: 1, address: "127.0.0.1", timeout: 500 })).toThrow(
      "this store is closed",
    );
  });

  it("tells which process failed", async () => {
    await expect(runRanks("failing-program.ts", 2)).rejects.toThrow(/rank 1: .*on purpose/);
  });
});
