/**
 * Proves that no argument, however wrong, crashes the process: every operator of the list and every function of the border is called with values of every type, with
 * freed and made-up handles, and with tensors of wrong shapes and dtypes. Each call either works or throws an Error; the process lives on, which the parent sees.
 * Alone: npx vitest run test/engine/wrong-arguments.test.ts
 */
import { spawnSync } from "node:child_process";
import { writeFileSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = path.join(import.meta.dirname, "../..");

/** Address space of the child, of which Node itself reserves over 30 GiB: what asks for more gets an allocation error instead of the whole machine. */
const MOST_KIB = 44 * 1024 * 1024;

/** The child: calls everything `rounds` times with arguments drawn from `seed`. */
const CHILD = `
import { readFileSync } from "node:fs";
const { native } = await import(process.argv[2] + "/src/engine/native.ts");
const { ops, tensor, indices } = await import(process.argv[2] + "/src/engine/tensor.ts");
const engine = native();
let state = Number(process.argv[3]) >>> 0;
const random = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 4294967296; };
const pick = (list) => list[Math.floor(random() * list.length)];
const freed = tensor([1, 2, 3]); freed.dispose();
const tensors = [
  tensor(1), tensor([]), tensor([1, 2, 3]), tensor([[1, 2], [3, 4]]), tensor([[1, 2, 3], [4, 5, 6]]), tensor([[[1, 2], [3, 4]]]),
  tensor([1, NaN, Infinity]), ops.zeros([0, 4]), ops.ones([2, 3], "f64"), ops.ones([2, 2], "bf16"), ops.ones([2, 3, 4, 5]),
  indices([0, 1]), indices([-1, 99]), indices([9007199254740991]), ops.ones([2, 2], "bool"), ops.ones([3], "u8"), ops.ones([2, 2], "i32"),
  ops.ones([1]).expand([4]), ops.ones([2, 3]).t(),
];
const handles = tensors.map((entry) => entry.handle);
const values = () => pick([
  () => pick(handles), () => pick(handles), () => pick(handles), () => pick(handles), () => pick(handles),
  () => [pick(handles), pick(handles)], () => [pick(handles)], () => [], () => [null, pick(handles)],
  () => pick([0, 1, -1, 2, 3, 0.5, -0, 1e300, NaN, Infinity, 2 ** 53, -5, 64]),
  () => pick([[0], [1], [-1], [0, 1], [2, 2], [-3, 5], [1.5], ["a"], [null]]),
  () => pick([true, false]), () => pick([null, undefined]), () => pick(["f32", "i64", "cpu", "cuda:0", "nonsense", ""]),
  () => pick([{}, () => 1, Symbol("s"), 10n, 2n ** 70n, new Float32Array(3), new Date()]), () => freed.handle, () => 12345.5, () => 2 ** 40,
])();
const names = readFileSync(process.argv[2] + "/tools/operators.txt", "utf8").split("\\n").map((line) => line.replace(/#.*/, "").trim()).filter(Boolean);
// A handle given as a size would ask for gigabytes, which is no crash but ends a small machine: sizes are kept small.
const factories = /::(zeros|ones|full|empty|rand|randn|eye|arange)\\b/;
const growing = /::(repeat|expand|constant_pad_nd|roll|chunk|split)\\b/;
const small = (value) => (Array.isArray(value) ? value.map(small) : typeof value === "number" && Math.abs(value) > 64 ? 3 : value);
const operators = names.map((line) => /^(\\w+::\\w+)(?:\\.(\\w+))?/.exec(line)).map(([, name, overload]) => ({ name, index: engine.resolve(name, overload ?? ""), count: engine.schema(name, overload ?? "").split(" -> ")[0].split(",").length }));
const border = Object.keys(engine).filter((name) => !["call", "run", "setErrorClass", "openScope", "closeScope", "setThreads"].includes(name));
let thrown = 0, done = 0;
const attempt = (body) => { try { body(); done++; } catch (error) { if (!(error instanceof Error)) { console.log("NOT AN ERROR", error); process.exit(3); } thrown++; } };
for (let round = 0; round < Number(process.argv[4]); round++) {
  engine.openScope();
  for (const { name, index, count } of operators) {
    const given = Array.from({ length: Math.floor(random() * (count + 2)) }, values);
    const harmless = given.map((value, place) => (factories.test(name) || (growing.test(name) && place > 0) ? small(value) : value));
    attempt(() => engine[random() < 0.8 ? "call" : "run"](index, ...harmless));
  }
  attempt(() => engine.call(...[values(), values(), values()]));
  for (const name of border) attempt(() => engine[name](...Array.from({ length: Math.floor(random() * 6) }, values).filter((value) => name !== "dispose" || !handles.includes(value))));
  engine.closeScope([]);
}
console.log(JSON.stringify({ thrown, done, live: engine.liveTensors().tensors, lost: handles.filter((handle) => !engine.isLive(handle)).length }));
`;

describe("wrong arguments", () => {
  it.each([1, 2, 3])(
    "never end the process (seed %i)",
    (seed) => {
      const file = path.join(mkdtempSync(path.join(tmpdir(), "tandem-")), "child.mts");
      writeFileSync(file, CHILD);
      const child = spawnSync("bash", ["-c", `ulimit -v ${MOST_KIB}; exec npx tsx "$0" "$@"`, file, ROOT, String(seed), "150"], {
        cwd: ROOT,
        encoding: "utf8",
        timeout: 110_000,
      });
      expect(child.signal, child.stderr).toBeNull();
      expect(child.status, child.stderr + child.stdout).toBe(0);
      const result = JSON.parse(child.stdout.trim().split("\n").at(-1) ?? "{}") as { thrown: number; done: number; lost: number };
      expect(result.thrown).toBeGreaterThan(1000);
      expect(result.done).toBeGreaterThan(1000);
      expect(result.lost).toBe(0);
    },
    120_000,
  );
});
