/**
 * Proves that NumPy reads what we write and that we read what NumPy writes. Needs the reference Python with numpy, else it is skipped.
 * Alone: npx vitest run test/storage/npy-reference.test.ts
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type NpyDtype, NpyWriter, readNpy } from "../../src/storage/npy.js";
import { faultOf, temporaryFolder } from "./bad-input.js";
import { missingPython, runPython } from "./reference-python.js";

const missing = missingPython("numpy");
const folder = temporaryFolder();
const arrays: Record<NpyDtype, (length: number) => Float32Array | Float64Array | Int32Array | BigInt64Array> = {
  float32: (length) => Float32Array.from({ length }, (_, index) => Math.sin(index) * 1e30),
  float64: (length) => Float64Array.from({ length }, (_, index) => Math.sin(index) * 1e300),
  int32: (length) => Int32Array.from({ length }, (_, index) => index * -98765),
  int64: (length) => BigInt64Array.from({ length }, (_, index) => BigInt(index) * -987654321987654n),
};

describe.skipIf(missing !== undefined)(`NumPy${missing === undefined ? "" : ` (skipped: ${missing})`}`, () => {
  it("reads what we write, mapped or not", () => {
    for (const dtype of Object.keys(arrays) as NpyDtype[]) {
      const values = arrays[dtype](7 * 3);
      const writer = new NpyWriter(join(folder, `${dtype}.npy`), { columns: 3, dtype });
      writer.append(new Uint8Array(values.buffer));
      writer.commit();
      const vector = new NpyWriter(join(folder, `${dtype}-vector.npy`), { dtype });
      vector.commit();
    }
    const script = `
import sys, numpy as np
for dtype in ["float32", "float64", "int32", "int64"]:
    a = np.load(f"{sys.argv[1]}/{dtype}.npy", mmap_mode="r", allow_pickle=False)
    v = np.load(f"{sys.argv[1]}/{dtype}-vector.npy", allow_pickle=False)
    print(a.dtype, a.shape, v.dtype, v.shape, a.flags["C_CONTIGUOUS"], a.tobytes().hex())`;
    const lines = runPython(script, folder).trim().split("\n");
    expect(lines).toEqual(
      ["float32", "float64", "int32", "int64"].map((dtype) => {
        const bytes = Buffer.from(arrays[dtype as NpyDtype](21).buffer).toString("hex");
        return `${dtype} (7, 3) ${dtype} (0,) True ${bytes}`;
      }),
    );
  });

  it("writes what we read: every shape, and each version of the format", () => {
    const script = `
import sys, numpy as np
for number, shape in enumerate([(), (0,), (5,), (2, 3), (1, 1), (0, 4), (2, 3, 4), (10**6, 1)]):
    np.save(f"{sys.argv[1]}/shape-{number}.npy", (np.arange(np.prod(shape, dtype=int)) % 1000).reshape(shape).astype("<i4"))
for version in [(1, 0), (2, 0), (3, 0)]:
    with open(f"{sys.argv[1]}/version-{version[0]}.npy", "wb") as f:
        np.lib.format.write_array(f, np.arange(6, dtype="<f8").reshape(3, 2), version=version)
np.save(f"{sys.argv[1]}/column.npy", np.asfortranarray(np.ones((3, 2), "<f4")))
np.save(f"{sys.argv[1]}/object.npy", np.array([{}, None], dtype=object), allow_pickle=True)
np.save(f"{sys.argv[1]}/big.npy", np.ones(3, ">f4"))
np.save(f"{sys.argv[1]}/half.npy", np.ones(3, "<f2"))
np.save(f"{sys.argv[1]}/record.npy", np.ones(3, [("x", "<f4")]))`;
    runPython(script, folder);
    const shapes = [[], [0], [5], [2, 3], [1, 1], [0, 4], [2, 3, 4], [10 ** 6, 1]];
    for (const [number, shape] of shapes.entries()) {
      const read = readNpy(join(folder, `shape-${String(number)}.npy`));
      expect([read.dtype, read.shape]).toEqual(["int32", shape]);
      const length = shape.reduce((product, size) => product * size, 1);
      expect(Buffer.from(read.data).equals(new Uint8Array(Int32Array.from({ length }, (_, index) => index % 1000).buffer))).toBe(true);
    }
    for (const version of [1, 2, 3]) {
      const { dtype, shape, data } = readNpy(join(folder, `version-${String(version)}.npy`));
      expect([dtype, shape]).toEqual(["float64", [3, 2]]);
      expect([...new Float64Array(data.buffer, data.byteOffset, 6)]).toEqual([0, 1, 2, 3, 4, 5]);
    }
    const refused = { column: "column order", object: "a pickle", big: "element type", half: "element type", record: "element type" };
    for (const [name, what] of Object.entries(refused)) expect(faultOf(() => readNpy(join(folder, `${name}.npy`)))).toContain(what);
  });

  it("mends a refused file by the command in the message", () => {
    const script = `import sys, numpy as np; np.save(sys.argv[1], np.asfortranarray(np.arange(6, dtype="<f4").reshape(2, 3)))`;
    const path = join(folder, "it's mended.npy");
    runPython(script, path);
    const command = /python3 -c '(.*)'$/s.exec(faultOf(() => readNpy(path)))?.[1]?.replaceAll("'\\''", "'") ?? "";
    runPython(command);
    const { shape, data } = readNpy(path);
    expect([shape, ...new Float32Array(data.buffer, data.byteOffset, 6)]).toEqual([[2, 3], 0, 1, 2, 3, 4, 5]);
  });
});
