/**
 * Proves that the facts about libtorch are this machine's, that threads can be set, and that the measured rate is a rate and leaves nothing behind.
 * Alone: npx vitest run test/engine/info.test.ts
 */
import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { bf16Units, engineFacts, gemmRate, setThreads } from "../../src/engine/info.js";
import { liveTensors } from "../../src/engine/scope.js";

const threads = engineFacts().threads;
afterAll(() => setThreads(threads));

describe("engineFacts", () => {
  it("names a supported libtorch and an instruction set", () => {
    const facts = engineFacts();
    expect(facts.torchVersion).toMatch(/^2\.1[1-9]\./);
    expect(facts.cpuCapability).toMatch(/^[A-Z0-9_]+$/);
    expect(facts.cuda).toBe(facts.cudaDevices > 0);
  });

  it("setThreads is seen in the facts; what is no count is refused", () => {
    setThreads(1);
    expect(engineFacts().threads).toBe(1);
    setThreads(3);
    expect(engineFacts().threads).toBe(3);
    for (const wrong of [0, -1, 1.5, NaN, 1e9]) expect(() => setThreads(wrong), String(wrong)).toThrow(/whole number from 1 to 4096/);
    expect(engineFacts().threads).toBe(3);
  });
});

describe("the processor", () => {
  it("has the bf16 units that its flags name", () => {
    const flags = readFileSync("/proc/cpuinfo", "utf8");
    const expected = flags.includes("amx_bf16") ? "amx" : flags.includes("avx512_bf16") ? "avx512" : undefined;
    expect(bf16Units()).toBe(expected);
  });

  it("multiplies at a measured rate", () => {
    const before = liveTensors();
    const rate = gemmRate({ size: 128, repeats: 2 });
    expect(rate).toBeGreaterThan(0.05);
    expect(rate).toBeLessThan(1e6);
    expect(liveTensors()).toEqual(before);
  });
});
