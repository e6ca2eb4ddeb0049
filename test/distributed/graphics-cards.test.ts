/**
 * Proves what members of a group decide about their graphics cards, for any machine: NCCL where each has its own and the same NCCL, else gloo with the reason; and that processors and cards don't mix. Here no card is needed: the members' words are written out.
 * Alone: npx vitest run test/distributed/graphics-cards.test.ts
 */
import { describe, expect, it } from "vitest";
import { cardUse, type MemberDevice } from "../../src/distributed/graphics-cards.js";
import { openProcessGroup, openStore } from "../../src/distributed/process-group.js";
import { nativeCollectives } from "../../src/engine/native.js";
import { faultOf } from "../storage/bad-input.js";

/** `name` on the card `card`, with NCCL. */
const member = (device: string, card: string, nccl = "2.29.7"): MemberDevice => ({ device, card, nccl });

describe("members with graphics cards", () => {
  it("use none where all compute on processors", () => {
    expect(cardUse([member("cpu", "", ""), member("cpu", "", "")])).toBeUndefined();
  });

  it("use NCCL where each has its own: on one machine, and where each sees its own alone", () => {
    expect(cardUse([member("cuda:1", "a 01"), member("cuda:0", "a 00")])).toEqual({
      backend: "nccl",
      devices: ["cuda:0", "cuda:1"],
      warnings: [],
    });
    expect(cardUse([member("cuda:0", "a 00"), member("cuda:0", "a 01"), member("cuda:0", "b 00")])).toEqual({
      backend: "nccl",
      devices: ["cuda:0"],
      warnings: [],
    });
  });

  it("use gloo where some share one, which is named once a card", () => {
    const use = cardUse([member("cuda:0", "a 00"), member("cuda:0", "a 00"), member("cuda:1", "a 01"), member("cuda:0", "a 00")]);
    expect(use?.backend).toBe("gloo");
    expect(use?.warnings).toEqual([expect.stringMatching(/^workers 0, 1, 3 share one graphics card \(cuda:0\): .*device=auto$/)]);
  });

  it.each([
    [
      "the add-on of one lacks it",
      [member("cuda:0", "a 00"), member("cuda:0", "b 00", "")],
      /the add-on of workers 1 was built without NCCL/,
    ],
    ["it is of several versions", [member("cuda:0", "a 00"), member("cuda:0", "b 00", "2.27.3")], /of versions 2\.29\.7 and 2\.27\.3$/],
    ["a card isn't known", [member("cuda:0", ""), member("cuda:0", "b 00")], /which card is which can't be told$/],
  ])("use gloo and say why where %s", (_, members, why) => {
    const use = cardUse(members);
    expect(use?.backend).toBe("gloo");
    expect(use?.warnings).toEqual([expect.stringMatching(why)]);
  });

  it("refuse to mix processors and cards", () => {
    expect(faultOf(() => cardUse([member("cuda:0", "a 00"), member("cpu", "", ""), member("cpu", "", "")]))).toMatch(
      /^device: workers 1, 2 compute on a processor and workers 0 on graphics cards; expected one kind of device for all; set device=cpu/,
    );
  });
});

describe("the add-on", () => {
  it("calls a processor no card, and refuses NCCL for it", () => {
    const native = nativeCollectives();
    expect(native.cardOf("cpu")).toBe("");
    const store = openStore({ host: "127.0.0.1", port: 0, isServer: true, timeout: 5000 });
    const group = native.openGroup(store.number, "one", 0, 1, "127.0.0.1", 5000);
    expect(() => native.useNccl(group, store.number, "one", "cpu", 5000)).toThrow(/useNccl: (NCCL isn't there|argument 'device')/);
    native.closeGroup(group);
    store.close();
  });

  it("has nothing to say of cards among members on processors", () => {
    const store = openStore({ host: "127.0.0.1", port: 0, isServer: true, timeout: 5000 });
    const group = openProcessGroup({ store, name: "one", rank: 0, size: 1, address: "127.0.0.1", timeout: 5000 });
    expect(group.computeOn("cpu")).toBeUndefined();
    group.close();
    store.close();
  });
});
