/**
 * Proves that a worker's share without the others is dealt what the real share deals its first worker, gives phases rows of the right number with a graph through its own, and counts what would be sent.
 * Alone: npx vitest run test/job/plan/lone-share.test.ts
 */
import { describe, expect, it } from "vitest";
import { ops } from "../../../src/engine/tensor.js";
import { loneShare } from "../../../src/job/plan/lone-share.js";

describe("a lone share", () => {
  it("is dealt every n-th member, from the first", () => {
    const members = [0, 1, 2, 3, 4, 5, 6];
    expect([1, 3, 64].map((size) => loneShare(size).share.own(members))).toEqual([members, [0, 3, 6], [0]]);
  });

  it("fills up the others' rows, whose gradients are nobody's", () => {
    const { share, traffic } = loneShare(3);
    const own = ops.ones([2, 4]).setRequiresGrad();
    const rows = share.rows(own, 5);
    expect(rows.shape).toEqual([5, 4]);
    share.backward([new Map([["w", own]])], rows.sum());
    // Each of its own elements stands in the sum once; the three copies have no graph.
    expect(own.grad?.sum().item()).toBe(8);
    expect(traffic).toEqual({ messages: 1, rowBytes: 5 * 4 * 4, gradientBytes: 2 * 4 * 4 });
  });

  it("counts two messages for a value, and none where one worker is all there are", () => {
    for (const [size, messages] of [
      [1, 0],
      [4, 10],
    ] as const) {
      const { share, traffic } = loneShare(size);
      share.counts({ loss: 1 });
      share.terms({});
      share.same({});
      share.total(1);
      share.ofFirst(true);
      expect(traffic.messages).toBe(messages);
    }
  });
});
