/**
 * Proves that Slurm's lists of hosts are expanded as `scontrol show hostnames` does, zeros and order kept, and that what isn't such a list is refused and never takes the memory.
 * Alone: npx vitest run test/distributed/node-list.test.ts
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { expandNodeList } from "../../src/distributed/node-list.js";

const expand = (text: string): string[] => expandNodeList(text, "SLURM_JOB_NODELIST");

it("expands what the manual shows, the last bracket fastest", () => {
  expect(expand("login1")).toEqual(["login1"]);
  expect(expand("gpu[001-003,007],login1")).toEqual(["gpu001", "gpu002", "gpu003", "gpu007", "login1"]);
  expect(expand("r[1-2]n[3-4]")).toEqual(["r1n3", "r1n4", "r2n3", "r2n4"]);
  expect(expand("n[9-11]")).toEqual(["n9", "n10", "n11"]);
  expect(expand("n[09-11]-ib.cluster,[1-2]")).toEqual(["n09-ib.cluster", "n10-ib.cluster", "n11-ib.cluster", "1", "2"]);
  expect(expand("n[0098-0101]\n")).toEqual(["n0098", "n0099", "n0100", "n0101"]);
  expect(expand("n[3,1,2]")).toEqual(["n3", "n1", "n2"]);
});

it.each([
  ["", "a name is empty"],
  ["a,,b", "a name is empty"],
  ["a,", "a name is empty"],
  ["n[1-3", "'[' without its other half"],
  ["n1-3]", "']' without its other half"],
  ["n[1-[2]]", "'[' without its other half"],
  ["n[]", "no number or range"],
  ["n[1,]", "no number or range"],
  ["n[1-]", "no number or range"],
  ["n[1-2-3]", "no number or range"],
  ["n[a-c]", "no number or range"],
  ["n[000x133]", "no number or range"],
  ["n[3-1]", "range 3-1 runs backwards"],
  ["n[1-010]", "range 1-010 is of two widths"],
  ["a b", "a character that no host name has"],
  ["2(x3)", "a character that no host name has"],
  ["n[1-999999999999999]", "more than 65536 hosts"],
  ["n[1-300]m[1-300]", "more than 65536 hosts"],
  ["a[1-60000],b[1-60000]", "more than 65536 hosts"],
])("refuses %j: %s", (text, what) => {
  expect(() => expand(text)).toThrow(`SLURM_JOB_NODELIST: ${what}`);
});

it("gives back any range with its zeros, and any names that are joined by commas", () => {
  const range = fc.record({ low: fc.nat(2000), more: fc.nat(50), width: fc.integer({ min: 1, max: 6 }) });
  fc.assert(
    fc.property(range, ({ low, more, width }) => {
      const written = (number: number): string => String(number).padStart(width, "0");
      const numbers = Array.from({ length: more + 1 }, (_, i) => written(low + i));
      // Only a range whose ends are equally wide, or whose first has no zeros, is written by Slurm.
      expect(expand(`n[${written(low)}-${written(low + more)}]`)).toEqual(numbers.map((number) => `n${number}`));
      expect(expand(`n[${numbers.join(",")}]`)).toEqual(numbers.map((number) => `n${number}`));
    }),
  );
  const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/);
  fc.assert(
    fc.property(fc.array(name, { minLength: 1 }), (names) => {
      expect(expand(names.join(","))).toEqual(names);
    }),
  );
});

it("either refuses a text or gives names without brackets, whatever the text", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("[", "]", "-", ",", "0", "1", "9", "n", ".", " "), maxLength: 16 }), (text) => {
      let hosts: string[];
      try {
        hosts = expand(text);
      } catch (error) {
        expect(error).toHaveProperty("name", "UserError");
        return;
      }
      for (const host of hosts) expect(host).toMatch(/^[\w.-]+$/);
    }),
    { numRuns: 500 },
  );
});
