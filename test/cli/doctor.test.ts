/** Proves what `tandem doctor` says of machines with and without libtorch, cards, bf16, room and threads, and that it says something here. */
import { describe, expect, it } from "vitest";
import { inspectMachine, type EngineProbe, type MachineProbes } from "../../src/cli/machine-report.js";
import { renderReport, thisMachine } from "../../src/cli/doctor.js";
import { UserError } from "../../src/errors.js";

const gib = 2 ** 30;

const engine: EngineProbe = { torchVersion: "2.13.0", threads: 8, cpuCapability: "AVX512", cudaDevices: 0, gemmRate: () => 450 };

function machine(over: Partial<MachineProbes> = {}, text: Record<string, string> = {}): MachineProbes {
  return {
    read: (path) => text[path],
    engine: () => Promise.resolve(engine),
    mapFile: () => Promise.resolve(),
    faiss: () => Promise.resolve({ version: "1.7.3", blas: "OpenBLAS" as const }),
    bf16Units: () => Promise.resolve("amx" as const),
    nodeVersion: "20.20.2",
    cores: 8,
    totalMemoryBytes: 64 * gib,
    diskFreeBytes: 100 * gib,
    runFolder: "runs",
    ...over,
  };
}

const withEngine = (over: Partial<EngineProbe>): Partial<MachineProbes> => ({ engine: () => Promise.resolve({ ...engine, ...over }) });
const unbuilt = (what: string) => () => Promise.reject(new UserError({ where: "build", what }));
const lacks = async (probes: MachineProbes): Promise<string[]> => (await inspectMachine(probes)).lacks.map((lack) => lack.what);

describe("inspectMachine", () => {
  it("finds nothing lacking on a machine with a card and room", async () => {
    const report = await inspectMachine(machine(withEngine({ cudaDevices: 2 })));
    expect(report.ready).toBe(true);
    expect(report.devices).toEqual(["cpu", "cuda:0", "cuda:1"]);
    expect(report.gemmGflops).toEqual({ cpu: 450, "cuda:0": 450, "cuda:1": 450 });
    expect(report.lacks.map((lack) => lack.what)).toEqual([]);
  });

  it("works without libtorch, says so, and measures nothing", async () => {
    const report = await inspectMachine(machine({ engine: unbuilt("the libtorch add-on isn't built") }));
    expect(report).toMatchObject({ ready: false, libtorch: null, threads: null, gemmGflops: {}, addons: { bridge: false, mmap: true } });
    expect(report.lacks[0]).toMatchObject({ what: "the libtorch add-on isn't built", remedy: "bash scripts/setup.sh" });
    expect(renderReport(report)).toContain("not ready: bash scripts/setup.sh");
    expect(renderReport(report)).not.toMatch(/null|undefined|NaN|Infinity/);
  });

  it("is ready without FAISS, and says what that costs and how to get it", async () => {
    const missing = new UserError({ where: "faiss.node", what: "the FAISS add-on isn't built", remedy: "install libfaiss" });
    const report = await inspectMachine(machine({ ...withEngine({ cudaDevices: 1 }), faiss: () => Promise.reject(missing) }));
    expect(report).toMatchObject({ ready: true, faiss: null });
    expect(report.lacks).toEqual([
      { what: "no FAISS", cost: expect.stringContaining("search is exact") as string, remedy: "install libfaiss" },
    ]);
    expect(renderReport(report)).toMatch(/^FAISS +none: exact search$/m);
    expect(renderReport(await inspectMachine(machine()))).toMatch(/^FAISS +1\.7\.3, BLAS: OpenBLAS$/m);
  });

  it("names the reference BLAS, which makes FAISS slow", async () => {
    const slow = { ...withEngine({ cudaDevices: 1 }), faiss: () => Promise.resolve({ version: "1.7.3", blas: "reference" as const }) };
    expect(await lacks(machine(slow))).toEqual(["FAISS multiplies by the reference BLAS"]);
  });

  it("isn't ready without the memory-map add-on", async () => {
    const report = await inspectMachine(machine({ mapFile: unbuilt("the memory-map add-on isn't built") }));
    expect(report).toMatchObject({ ready: false, addons: { bridge: true, mmap: false } });
  });

  it("lets a bug through instead of reporting it as a lack", async () => {
    await expect(inspectMachine(machine({ engine: () => Promise.reject(new TypeError("a bug")) }))).rejects.toThrow("a bug");
  });

  it.each<[string, Partial<MachineProbes>, RegExp]>([
    ["a slow processor", withEngine({ gemmRate: () => 120.4 }), /^fp32 matrix products at 120 GFLOP\/s, below 200$/],
    ["more threads than processors", withEngine({ threads: 16 }), /^libtorch uses 16 threads on 8 processors$/],
    ["no bf16", { bf16Units: () => Promise.resolve(undefined) }, /no bf16 arithmetic/],
    ["a full disk", { diskFreeBytes: gib / 2 }, /^0\.50 GiB of disk are free for runs$/],
  ])("names %s and what it costs", async (_, over, expected) => {
    const report = await inspectMachine(machine(over));
    const found = report.lacks.filter((lack) => expected.test(lack.what));
    expect(found.length).toBe(1);
    expect(found[0]?.cost).not.toBe("");
    expect(await lacks(machine())).not.toContainEqual(expect.stringMatching(expected));
  });

  it("counts what a container allows, not what the machine has", async () => {
    const files = {
      "/proc/self/cgroup": "0::/job",
      "/sys/fs/cgroup/job/memory.max": String(6 * gib),
      "/sys/fs/cgroup/job/memory.current": String(2 * gib),
      "/sys/fs/cgroup/job/cpu.max": "250000 100000",
      "/proc/meminfo": `MemTotal: 67108864 kB\nMemAvailable:   ${String((50 * gib) / 1024)} kB\n`,
    };
    const report = await inspectMachine(machine({}, files));
    expect(report.cores).toBe(2);
    expect(report.memory).toEqual({ totalBytes: 64 * gib, limitBytes: 6 * gib, availableBytes: 4 * gib });
    expect(report.lacks.map((lack) => lack.what)).toContain("memory is limited to 6.0 GiB by the container or the job");
  });

  it("finds the folder that libtorch was loaded from", async () => {
    const maps =
      "7f00-7f01 r-xp 00000000 08:01 12 /usr/lib/libc.so.6\n7f02-7f03 r-xp 00000000 08:01 13    /opt/my torch/lib/libtorch_cpu.so\n";
    const report = await inspectMachine(machine({}, { "/proc/self/maps": maps }));
    expect(report.libtorch).toEqual({ version: "2.13.0", folder: "/opt/my torch/lib" });
  });
});

describe("this machine", () => {
  it("has a report that a person can read and a program can parse", async () => {
    const report = await inspectMachine(thisMachine());
    expect(report.node).toBe(process.versions.node);
    expect(report.memory.availableBytes).toBeGreaterThan(0);
    expect(report.disk.freeBytes).toBeGreaterThan(0);
    if (report.libtorch !== null) expect(report.gemmGflops["cpu"]).toBeGreaterThan(1);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    for (const part of ["libtorch", "devices", "bf16", "threads", "matrix product", "FAISS", "memory", "disk"])
      expect(renderReport(report)).toContain(part);
  });
});
