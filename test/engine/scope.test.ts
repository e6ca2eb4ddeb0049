/**
 * Proves who frees what: a scope frees everything made in it but what it returns or what was kept, also when its body throws or returns a Promise; a freed tensor says so when it is used; the alarm
 * sounds for a tensor that nobody owns.
 * Alone: npx vitest run test/engine/scope.test.ts
 */
import { describe, expect, it } from "vitest";
import { OperatorError } from "../../src/engine/native.js";
import { liveTensors, scope } from "../../src/engine/scope.js";
import { leakedTensors } from "../../src/engine/tensor-handle.js";
import { ops, tensor, toFloat32Array, type Tensor } from "../../src/engine/tensor.js";
import { runWithCollector } from "./child-process.js";

/** Runs `body` and expects the native table to hold, afterwards, `more` tensors than before. */
function expectMore<T>(more: number, body: () => T): T {
  const before = liveTensors();
  const result = body();
  expect(liveTensors().tensors - before.tensors).toBe(more);
  expect(liveTensors().depth).toBe(before.depth);
  return result;
}

describe("scope", () => {
  it("frees what was made in it and counts its bytes", () => {
    const before = liveTensors();
    scope(() => {
      const big = ops.zeros([1024, 256]);
      expect(liveTensors()).toEqual({ tensors: before.tensors + 1, bytes: before.bytes + 1024 * 256 * 4, depth: before.depth + 1 });
      expect(big.isLive).toBe(true);
    });
    expect(liveTensors()).toEqual(before);
  });

  it("hands out the tensor it returns, which lives until dispose", () => {
    const kept = expectMore(1, () => scope(() => tensor([1, 2]).add(1)));
    expect([...toFloat32Array(kept)]).toEqual([2, 3]);
    kept.dispose();
    expect(kept.isLive).toBe(false);
    expect(() => kept.dispose()).not.toThrow();
  });

  it("finds returned tensors in arrays, objects, Maps and Sets, at any depth and around circles", () => {
    type Circle = { inner: { list: (Tensor | number)[] }; map: Map<string, Set<Tensor>>; self?: Circle };
    const result = expectMore(3, () =>
      scope(() => {
        tensor([0]);
        const made: Circle = { inner: { list: [1, tensor([1])] }, map: new Map([["a", new Set([tensor([2]), tensor([3])])]]) };
        made.self = made;
        return made;
      }),
    );
    const held = [result.inner.list[1] as Tensor, ...(result.map.get("a") ?? [])];
    expect(held.map((entry) => entry.item())).toEqual([1, 2, 3]);
    for (const entry of held) entry.dispose();
  });

  it("finds tensors that are keys of a Map", () => {
    const map = expectMore(1, () => scope(() => new Map([[tensor([4]), "value"]])));
    for (const key of map.keys()) key.dispose();
  });

  it("gives what an inner scope returns to the outer one, which frees it", () => {
    expectMore(0, () =>
      scope(() => {
        const depth = liveTensors().depth;
        const inner = scope(() => {
          expect(liveTensors().depth).toBe(depth + 1);
          return tensor([5]);
        });
        expect(inner.item()).toBe(5);
        scope(() => {
          // Returning a tensor of the outer scope neither frees it nor changes whose it is.
          scope(() => inner);
          expect(inner.isLive).toBe(true);
        });
        expect(inner.isLive).toBe(true);
      }),
    );
  });

  it("keep takes a tensor out of every scope", () => {
    const kept = expectMore(1, () =>
      scope(() =>
        scope(() => {
          const tensors = [tensor([1]).keep(), tensor([2])];
          return { number: tensors.length, handle: tensors[0]!.handle, own: (): Tensor => tensors[0]! };
        }),
      ),
    );
    expect(kept.own().item()).toBe(1);
    kept.own().dispose();
  });

  it("dispose inside a scope frees at once, and the scope's end is no second time", () => {
    expectMore(0, () =>
      scope(() => {
        const early = tensor([1]);
        expectMore(-1, () => early.dispose());
        const next = tensor([2]);
        expect([early.isLive, next.isLive]).toEqual([false, true]);
        expect(next.item()).toBe(2);
      }),
    );
  });

  it("frees everything when the body throws, and passes the error on", () => {
    const error = new Error("of the body");
    expectMore(0, () => {
      expect(() =>
        scope(() => {
          tensor([1]);
          scope(() => {
            tensor([2]);
            throw error;
          });
        }),
      ).toThrow(error);
    });
  });

  it("throws when the body returns a Promise, and leaves nothing, whatever the Promise does", async () => {
    expectMore(0, () => {
      expect(() => scope(() => Promise.resolve(tensor([1])))).toThrow(/scope: the body returned a Promise/);
      expect(() => scope(() => Promise.reject(new Error("later")))).toThrow(/await outside and scope the synchronous parts/);
    });
    // A rejection that nobody hears would end the process here.
    await new Promise((resolve) => setTimeout(resolve, 5));
  });

  it("holds thousands of scopes without growing", () => {
    expectMore(0, () => {
      for (let i = 0; i < 5000; i++) scope(() => tensor([i]).mul(2).sum().item());
    });
  });
});

describe("use after free", () => {
  it("is an error that names the operator and says what happened", () => {
    let escaped: Tensor | undefined;
    scope(() => {
      escaped = tensor([1, 2]);
    });
    const gone = escaped!;
    const uses: (() => unknown)[] = [
      () => gone.item(),
      () => gone.toBytes(),
      () => gone.backward(),
      () => gone.keep(),
      () => gone.requiresGrad,
      () => gone.device,
      () => gone.shape,
      () => gone.add(1),
      () => ops.cat([gone, gone]),
    ];
    for (const use of uses) {
      expect(use, String(use)).toThrow(OperatorError);
      expect(use, String(use)).toThrow(/was freed by its scope or by dispose\(\)/);
    }
    expect(() => gone.add(1)).toThrow(/aten::add/);
  });

  it("a slot that is used again doesn't answer to the old handle", () => {
    const old = tensor([1]);
    old.dispose();
    const next = tensor([2]);
    expect(next.handle).not.toBe(old.handle);
    expect(() => old.item()).toThrow(OperatorError);
    old.dispose();
    expect(next.item()).toBe(2);
    next.dispose();
  });
});

describe("the leak alarm", () => {
  it("is silent in this process, where every tensor was freed by somebody", () => {
    expect(leakedTensors()).toBe(0);
  });

  it("sounds once for tensors that an outermost scope handed out and nobody disposed of, and only for those", () => {
    const { status, out, error } = runWithCollector(`
      const { scope } = await engine("scope"), { tensor } = await engine("tensor"), { leakedTensors } = await engine("tensor-handle");
      let warnings = 0;
      process.on("warning", (warning) => { if (warning.name === "TensorLeak") warnings++; });
      const settle = async () => { for (let i = 0; i < 20; i++) { gc(); await new Promise((done) => setTimeout(done, 5)); } };
      const held = scope(() => tensor([1]));
      (() => { scope(() => tensor([2])).dispose(); scope(() => { scope(() => tensor([3])); }); })();
      await settle();
      const before = [leakedTensors(), warnings];
      (() => { scope(() => [tensor([4]), tensor([5])]); })();
      await settle();
      console.log(JSON.stringify({ before, after: [leakedTensors(), warnings], held: held.item() }));
    `);
    expect(status, error).toBe(0);
    expect(JSON.parse(out)).toEqual({ before: [0, 0], after: [2, 1], held: 1 });
  });
});

describe("memory behind a mapped tensor", () => {
  it("lives as long as the tensor and goes with it", () => {
    const { status, out, error } = runWithCollector(`
      const { fromMapped, ops, toFloat32Array } = await engine("tensor");
      const settle = async () => { for (let i = 0; i < 20; i++) { gc(); await new Promise((done) => setTimeout(done, 5)); } };
      let collected = 0;
      const watch = new FinalizationRegistry(() => collected++);
      let mapped = (() => { const memory = new Float32Array(1 << 16).fill(7); watch.register(memory, 0); return fromMapped(memory, "f32", [1 << 16]); })();
      const view = mapped.narrow(0, 10, 2);
      mapped.dispose();
      await settle();
      const whileViewed = { collected, values: [...toFloat32Array(view)] };
      view.dispose();
      // Released memory is handed back at the next call that maps.
      fromMapped(new Float32Array(1), "f32", [1]).dispose();
      await settle();
      console.log(JSON.stringify({ whileViewed, collected }));
    `);
    expect(status, error).toBe(0);
    expect(JSON.parse(out)).toEqual({ whileViewed: { collected: 0, values: [7, 7] }, collected: 1 });
  });
});
