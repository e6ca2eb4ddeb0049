/**
 * Proves that the reference library and we read each other's safetensors files, that ours have its very bytes, and that we refuse what it refuses.
 * Needs the reference Python with safetensors and numpy, else it is skipped. Alone: npx vitest run test/storage/safetensors-reference.test.ts
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSafetensors, type SafetensorsDtype, type TensorToStore, writeSafetensors } from "../../src/storage/safetensors.js";
import { faultOf, temporaryFolder } from "./bad-input.js";
import { missingPython, runPython } from "./reference-python.js";

const missing = missingPython("safetensors", "numpy");
const withoutTorch = missing ?? missingPython("torch");
const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);
const reason = (why: string | undefined): string => (why === undefined ? "" : ` (skipped: ${why})`);

describe.skipIf(missing !== undefined)(`the safetensors library${reason(missing)}`, () => {
  it("opens what we write", () => {
    const values = Float32Array.from({ length: 6 }, (_, index) => index / 3);
    writeSafetensors(
      place("ours.safetensors"),
      [
        { name: "é 🜲", dtype: "F32", shape: [2, 3], data: new Uint8Array(values.buffer) },
        { name: "scalar", dtype: "I64", shape: [], data: new Uint8Array(BigInt64Array.of(-5n).buffer) },
        { name: "none", dtype: "F64", shape: [0, 4], data: new Uint8Array() },
        { name: "flags", dtype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) },
      ],
      { made_by: "tandem" },
    );
    const script = `
import sys, json
from safetensors import safe_open
with safe_open(sys.argv[1], "np") as f:
    print(json.dumps([f.metadata(), {k: [str(f.get_tensor(k).dtype), f.get_tensor(k).tolist()] for k in sorted(f.keys())}], sort_keys=True))`;
    expect(JSON.parse(runPython(script, place("ours.safetensors")))).toEqual([
      { format: "pt", made_by: "tandem" },
      {
        "é 🜲": [
          "float32",
          [
            [0, 1, 2],
            [3, 4, 5],
          ].map((row) => row.map((value) => Math.fround(value / 3))),
        ],
        scalar: ["int64", -5],
        none: ["float64", []],
        flags: ["bool", [true, false, true]],
      },
    ]);
  });

  it("writes the same bytes as we do, for every type that it can name", () => {
    const dtypes: [SafetensorsDtype, string, number][] = [
      ["BOOL", "bool", 1],
      ["U8", "uint8", 1],
      ["I8", "int8", 1],
      ["F8_E4M3", "float8_e4m3fn", 1],
      ["F8_E5M2", "float8_e5m2", 1],
      ["F8_E8M0", "float8_e8m0fnu", 1],
      ["F8_E4M3FNUZ", "float8_e4m3fnuz", 1],
      ["F8_E5M2FNUZ", "float8_e5m2fnuz", 1],
      ["I16", "int16", 2],
      ["U16", "uint16", 2],
      ["F16", "float16", 2],
      ["BF16", "bfloat16", 2],
      ["I32", "int32", 4],
      ["U32", "uint32", 4],
      ["F32", "float32", 4],
      ["C64", "complex64", 8],
      ["F64", "float64", 8],
      ["I64", "int64", 8],
      ["U64", "uint64", 8],
    ];
    const names = ["b", "a", "Z", "é", "\uFFFD", "🜲", 'quote" and \\ back', "tab\tand\u0001\u007f", ""];
    const tensors: (TensorToStore & { python: string; data: Uint8Array })[] = dtypes.flatMap(([dtype, python, bytes], type) => {
      return names.map((name, number) => {
        const shape = number % 3 === 0 ? [] : number % 3 === 1 ? [number, 1] : [0];
        const count = shape.reduce((product, size) => product * size, 1);
        return { name: `${name} ${String(type)}`, dtype, python, shape, data: new Uint8Array(count * bytes).fill(number) };
      });
    });
    writeSafetensors(place("bytes.safetensors"), tensors);
    writeFileSync(
      place("bytes.json"),
      JSON.stringify(tensors.map(({ name, python, shape, data }) => [name, python, shape, Buffer.from(data).toString("hex")])),
    );
    const script = `
import sys, json, numpy as np
from safetensors import TensorSpec, serialize
tensors, alive = {}, []
for name, dtype, shape, text in json.load(open(sys.argv[1] + "/bytes.json", encoding="utf-8")):
    alive.append(np.frombuffer(bytes.fromhex(text) + b"end", "u1"))
    tensors[name] = TensorSpec(dtype=dtype, shape=shape, data_ptr=alive[-1].ctypes.data, data_len=len(text) // 2)
open(sys.argv[1] + "/theirs.safetensors", "wb").write(serialize(tensors, {"format": "pt"}))`;
    expect(runPython(script, folder)).toBe("");
    expect(readFileSync(place("bytes.safetensors")).equals(readFileSync(place("theirs.safetensors")))).toBe(true);
  });

  it("writes what we read, aligned or not", () => {
    const script = `
import sys, numpy as np
from safetensors.numpy import save_file
save_file({"x": np.arange(6, dtype="f4").reshape(2, 3), "y": np.array([1, 2, 3], "u1"), "z": np.array(7.5)}, sys.argv[1])`;
    runPython(script, place("theirs.safetensors"));
    const { tensors, metadata } = readSafetensors(place("theirs.safetensors"));
    expect(metadata).toEqual({});
    expect([...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape])).toEqual([
      ["z", "F64", []],
      ["x", "F32", [2, 3]],
      ["y", "U8", [3]],
    ]);
    expect(tensors.get("x")?.data).toEqual(new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer));
  });

  it("refuses no file that we accept, whatever bytes are changed", () => {
    const entry = (begin: number, end: number) => ({ dtype: "U8", shape: [end - begin], data_offsets: [begin, end] });
    const text = JSON.stringify({ a: entry(0, 3), b: entry(3, 5) });
    const head = Buffer.alloc(8);
    head.writeUInt32LE(text.length);
    const bytes = Buffer.concat([head, Buffer.from(text), Buffer.from("12345")]);
    const letter = fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('0123456789"{}[],: .eU')));
    const changes = fc.array(fc.tuple(fc.nat(bytes.length - 1), letter), { minLength: 1, maxLength: 3 });
    const samples = fc.sample(changes, { numRuns: 400, seed: 1 });
    const accepted: string[] = [];
    for (const sample of samples) {
      const wrong = Uint8Array.from(bytes);
      for (const [index, value] of sample) wrong[index] = value;
      writeFileSync(place("changed.safetensors"), wrong);
      try {
        readSafetensors(place("changed.safetensors"));
        accepted.push(Buffer.from(wrong).toString("hex"));
      } catch {
        faultOf(() => readSafetensors(place("changed.safetensors")));
      }
    }
    writeFileSync(place("accepted.json"), JSON.stringify(accepted));
    const script = `
import sys, json, safetensors
for text in json.load(open(sys.argv[1])):
    try: safetensors.deserialize(bytes.fromhex(text))
    except Exception as e: print(e, bytes.fromhex(text))`;
    expect(accepted.length).toBeGreaterThan(10);
    expect(runPython(script, place("accepted.json"))).toBe("");
  });
});

describe.skipIf(withoutTorch !== undefined)(`the command that converts a pickle${reason(withoutTorch)}`, () => {
  it("works as the message has it, in both of PyTorch's formats", () => {
    const script = `
import sys, torch
w = torch.arange(6.0).reshape(2, 3)
torch.save({"w": w, "tied": w, "t": w.T}, sys.argv[1] + "/zip.bin")
torch.save({"w": w}, sys.argv[1] + "/old.bin", _use_new_zipfile_serialization=False)`;
    runPython(script, folder);
    for (const [name, got] of [
      ["zip", "a zip file"],
      ["old", "a pickle"],
    ] as const) {
      const message = faultOf(() => readSafetensors(place(`${name}.bin`)));
      expect(message).toContain(got);
      runPython((/python3 -c '(.*)'/s.exec(message)?.[1] ?? "").replaceAll("'\\''", "'"));
      const { tensors, metadata } = readSafetensors(place(`${name}.converted.safetensors`));
      expect(metadata).toEqual({ format: "pt" });
      expect(tensors.get("w")?.data).toEqual(new Uint8Array(Float32Array.of(0, 1, 2, 3, 4, 5).buffer));
      if (name === "zip") expect(tensors.get("t")?.data).toEqual(new Uint8Array(Float32Array.of(0, 3, 1, 4, 2, 5).buffer));
    }
  });
});
