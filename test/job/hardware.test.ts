/**
 * Proves that `auto` becomes what this machine has, and that a GPU that isn't there is refused with what is.
 * Alone: npx vitest run test/job/hardware.test.ts
 */
import { describe, expect, it } from "vitest";
import { bf16Units, engineFacts } from "../../src/engine/info.js";
import { runDevice, runPrecision } from "../../src/job/hardware.js";
import { faultOf } from "../storage/bad-input.js";

const { cudaDevices } = engineFacts();

describe("the device of a worker", () => {
  it.each([
    [0, 0, "cpu"],
    [3, 0, "cpu"],
    [0, 4, "cuda:0"],
    [3, 4, "cuda:3"],
    [4, 4, "cuda:0"],
    [5, 2, "cuda:1"],
    [3, 1, "cuda:0"],
  ])("auto for local rank %i of a machine that shows %i GPUs is %s", (localRank, cudaDevices, device) => {
    expect(runDevice("auto", { localRank, cudaDevices })).toBe(device);
  });

  it("is the one that the config names, whatever the rank", () => {
    expect(runDevice("cuda:1", { localRank: 0, cudaDevices: 2 })).toBe("cuda:1");
    expect(runDevice("cpu", { localRank: 1, cudaDevices: 2 })).toBe("cpu");
    expect(faultOf(() => runDevice("cuda:2", { localRank: 2, cudaDevices: 2 }))).toContain("expected cuda:0 to cuda:1, got cuda:2");
  });
});

describe("the device", () => {
  it("auto is the first GPU where there is one, else the processor; cpu is always cpu", () => {
    expect(runDevice("auto")).toBe(cudaDevices > 0 ? "cuda:0" : "cpu");
    expect(runDevice("cpu")).toBe("cpu");
  });

  it("that isn't there is refused, naming what is", () => {
    const line = faultOf(() => runDevice(`cuda:${cudaDevices}`));
    expect(line).toContain(
      cudaDevices === 0
        ? "expected cpu, got cuda:0; set device=auto, or another device of this machine"
        : `expected cuda:0 to cuda:${cudaDevices - 1}, got cuda:${cudaDevices}`,
    );
    expect(faultOf(() => runDevice("cuda:99"))).toContain("got cuda:99");
  });
});

describe("the precision", () => {
  it("is what the config says, or bf16 where that is fast", () => {
    for (const device of ["cpu", "cuda:0"]) {
      expect(runPrecision("f32", device)).toBeUndefined();
      expect(runPrecision("bf16", device)).toBe("bf16");
    }
    expect(runPrecision("auto", "cpu")).toBe(bf16Units() === "amx" ? "bf16" : undefined);
    expect(runPrecision("auto", "cuda:0")).toBe("bf16");
  });
});
