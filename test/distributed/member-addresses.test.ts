/** Proves which address the workers of each rank are given, from the connections that rank 0's driver has. Alone: npx vitest run test/distributed/member-addresses.test.ts */
import { expect, it } from "vitest";
import { memberAddresses } from "../../src/distributed/member-addresses.js";

it("is a loopback address where all are on one machine", () => {
  const connections = [1, 2].map((rank) => ({ rank, own: "127.0.0.1", other: "127.0.0.1" }));
  expect(memberAddresses(3, connections)).toEqual(["127.0.0.1", "127.0.0.1", "127.0.0.1"]);
});

it("is where the others came from, and for rank 0 where they came to", () => {
  expect(
    memberAddresses(3, [
      { rank: 2, own: "::ffff:10.0.0.1", other: "::ffff:10.0.0.3" },
      { rank: 1, own: "::ffff:10.0.0.1", other: "::ffff:10.0.0.2" },
    ]),
  ).toEqual(["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
});

it("is rank 0's own for a neighbour that came by a loopback address, which nobody elsewhere could reach", () => {
  expect(
    memberAddresses(3, [
      { rank: 1, own: "::ffff:127.0.1.1", other: "::ffff:127.0.0.1" },
      { rank: 2, own: "2001:db8::1", other: "2001:db8::3" },
    ]),
  ).toEqual(["2001:db8::1", "2001:db8::1", "2001:db8::3"]);
});

it("is there for every rank", () => {
  expect(memberAddresses(1, [])).toEqual(["127.0.0.1"]);
});
