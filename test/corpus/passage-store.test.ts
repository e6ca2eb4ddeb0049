/**
 * Proves that a store gives back any passage by number or id, that other Arrow readers open it, that reading copies nothing and needs no memory in
 * proportion to the corpus, and that a damaged store is refused in one line. Alone: npx vitest run test/corpus/passage-store.test.ts
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { DataType, RecordBatchFileWriter, Table, tableFromArrays, tableFromIPC, Utf8, vectorFromArray } from "apache-arrow";
import type { Vector } from "apache-arrow";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { DigestSet } from "../../src/corpus/digest-set.js";
import type { Passage } from "../../src/corpus/passage.js";
import { passageContentKey, passageId } from "../../src/corpus/passage.js";
import { makeManifest, MANIFEST_FILE } from "../../src/corpus/passage-manifest.js";
import { PassageStore } from "../../src/corpus/passage-store.js";
import { noFacts } from "../../src/corpus/chunk-paragraphs.js";
import { StoreWriter } from "../../src/corpus/store-writer.js";
import { UserError } from "../../src/errors.js";
import { hashBytes } from "../../src/storage/content-hash.js";
import { mapFile } from "../../src/storage/memory-map.js";
import { compileSources } from "./compiled-sources.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();
const python = process.env.TANDEM_REFERENCE_PYTHON ?? fileURLToPath(new URL("../../.venv-reference/bin/python", import.meta.url));

type Body = Omit<Passage, "id">;

/** Writes a store as buildCorpus does, from passages instead of a corpus. */
function writeStore(name: string, bodies: Iterable<Body>, shardBytes?: number): string {
  const target = folder.join(name);
  folder.write(`${name}/.keep`, "");
  const writer = new StoreWriter(target, shardBytes);
  for (const body of bodies) {
    writer.add({ passages: [{ id: passageId(body), ...body, contentKey: passageContentKey(body) }], facts: noFacts() });
  }
  const source = {
    format: "jsonl",
    files: 1,
    bytes: 1,
    hash: "0".repeat(64),
    ignoredFiles: 0,
    skipped: { empty: 0, redirects: 0 },
    limit: null,
  };
  const chunking = {
    split: "blank",
    maxTokens: 64,
    minCharacters: 30,
    titleTemplate: "{title}. {text}",
    tokenizer: "0".repeat(64),
  } as const;
  writeFileSync(folder.join(name, MANIFEST_FILE), JSON.stringify(makeManifest({ ...writer.finish(name), source, chunking })));
  return target;
}

function* generated(count: number): Generator<Body> {
  for (let i = 0; i < count; i++) {
    yield { document: `d${i >> 2}`, title: `Title ${i >> 2} é😀`, text: `Passage ${i}: ${"lorem ipsum ".repeat((i % 17) + 1)}`.trim() };
  }
}

const message = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
};

describe("a store", () => {
  let store: PassageStore;
  beforeAll(() => {
    store = PassageStore.open(writeStore("plain", generated(20_000), 1_000_000));
  });

  it("gives any passage by number, over shard and batch borders, and all of them in order", () => {
    expect(store.size).toBe(20_000);
    expect(store.manifest.shards.length).toBeGreaterThan(2);
    for (const { bytes } of store.manifest.shards) expect(bytes).toBeLessThanOrEqual(1_000_000);
    const bodies = [...generated(20_000)];
    let row = 0;
    for (const passage of store) {
      const body = bodies[row++]!;
      if (passage.text !== body.text || passage.title !== body.title || passage.document !== body.document)
        expect(passage).toMatchObject(body);
    }
    expect(row).toBe(20_000);
    expect(store.get(19_999)).toMatchObject(bodies[19_999]!);
    expect(store.field(12_345, "document")).toBe(bodies[12_345]!.document);
  });

  it("finds the row of every id without a table of ids in the heap, and none for an id that isn't there", () => {
    for (let row = 0; row < store.size; row += 7) expect(store.rowOf(store.field(row, "id"))).toBe(row);
    expect(store.rowOf("0".repeat(32))).toBeUndefined();
    expect(store.rowOf("not an id")).toBeUndefined();
    const near = store.field(5, "id").slice(0, 8) + "f".repeat(24);
    expect(store.rowOf(near)).toBeUndefined();
  });

  it("cozyrag 14: a missing hit (-1) or a row beyond the last throws instead of giving some passage", () => {
    for (const row of [-1, 20_000, 0.5, Number.NaN]) expect(() => store.get(row)).toThrow(RangeError);
  });

  it("is the same table for any shard size, and its hash is that of the ids in order", () => {
    const other = PassageStore.open(writeStore("large-shards", generated(20_000)));
    expect(other.manifest.shards).toHaveLength(1);
    expect(other.hash).toBe(store.hash);
    expect(other.hash).toBe(hashBytes([...other].map(({ id }) => id).join("")));
    expect(other.get(4_711)).toEqual(store.get(4_711));
    const bodies = [...generated(20_000)].reverse();
    expect(PassageStore.open(writeStore("reversed", bodies)).hash).not.toBe(store.hash);
    expect(PassageStore.open(writeStore("reversed", bodies)).rowOf(store.field(0, "id"))).toBe(19_999);
  });

  it("keeps a shard under its limit even where one passage fills a batch", () => {
    const bodies = Array.from({ length: 30 }, (_, i) => ({ document: "d", title: "t", text: `${i} ${"x".repeat(20_000)}` }));
    const small = PassageStore.open(writeStore("fat", bodies, 65_536));
    for (const { bytes } of small.manifest.shards) expect(bytes).toBeLessThanOrEqual(65_536);
    expect([...small].map(({ text }) => text)).toEqual(bodies.map(({ text }) => text));
  });

  it("reads without a copy: the columns are views into the mapped file", () => {
    const bytes = mapFile(folder.join("plain", store.manifest.shards[0]!.file));
    for (const batch of tableFromIPC(bytes).batches) {
      for (const child of batch.data.children) {
        expect((child.values as Uint8Array).buffer).toBe(bytes.buffer);
        if (!DataType.isUtf8(child.type)) continue;
        expect((child.valueOffsets as Int32Array).buffer).toBe(bytes.buffer);
      }
    }
  });

  it("property: whatever well-formed text goes in comes out", () => {
    const text = fc.string({ unit: "binary" }).map((value) => value.replace(/\p{Surrogate}/gu, "").replace(/^\uFEFF+/, ""));
    fc.assert(
      fc.property(fc.array(fc.record({ document: text, title: text, text }), { minLength: 1, maxLength: 30 }), (bodies) => {
        const distinct = [...new Map(bodies.map((body) => [passageContentKey(body), body])).keys()];
        const opened = PassageStore.open(writeStore("property", bodies));
        expect(opened.size).toBe(distinct.length);
        expect([...opened].map(passageContentKey)).toEqual(distinct);
        for (const passage of opened) expect(passage.id).toBe(passageId(passage));
        expect(opened.manifest.duplicates).toBe(bodies.length - distinct.length);
      }),
      { numRuns: 40 },
    );
  });

  it("gives back the places in the article, also beside passages that have none", () => {
    const places = Array.from({ length: 20 }, (_, i) => (i % 3 === 0 ? {} : { start: i * 100, end: i * 100 + 7 }));
    const bodies = places.map((place, i) => ({ document: "d", title: "t", text: `Passage ${i}`, ...place }));
    const opened = PassageStore.open(writeStore("places", bodies));
    expect([...opened].map(({ start, end }) => ({ start, end }))).toEqual(
      bodies.map((body) => ({ start: "start" in body ? body.start : undefined, end: "end" in body ? body.end : undefined })),
    );
    expect(opened.manifest.version).toBe(2);
  });

  it("reads a store of format version 1, which has no places", () => {
    const target = writeStore("version-1", generated(10));
    const rows = [...PassageStore.open(target)];
    const column = (name: "id" | "title" | "text" | "document"): Vector<Utf8> =>
      vectorFromArray(
        rows.map((row) => row[name]),
        new Utf8(),
      );
    const table = new Table({ id: column("id"), title: column("title"), text: column("text"), document: column("document") });
    const bytes = RecordBatchFileWriter.writeAll(table).toUint8Array(true);
    const manifest = JSON.parse(readFileSync(`${target}/${MANIFEST_FILE}`, "utf8")) as { version: number; shards: { bytes: number }[] };
    manifest.version = 1;
    manifest.shards[0]!.bytes = bytes.length;
    writeFileSync(`${target}/passages-00000.arrow`, bytes);
    writeFileSync(`${target}/${MANIFEST_FILE}`, JSON.stringify(manifest));
    const opened = PassageStore.open(target);
    expect([...opened]).toEqual(rows);
    expect("start" in opened.get(3)).toBe(false);
    expect(opened.rowOf(rows[7]!.id)).toBe(7);
  });

  it.skipIf(!existsSync(python))("opens in pyarrow and datasets with plain string columns (skipped without the reference Python)", () => {
    const files = store.manifest.shards.map(({ file }) => folder.join("plain", file));
    const script = [
      "import json, sys, pyarrow as pa, pyarrow.ipc, datasets",
      "files = sys.argv[1:]",
      "tables = [pa.ipc.open_file(pa.memory_map(f)).read_all() for f in files]",
      "table = pa.concat_tables(tables); table.validate(full=True)",
      "data = datasets.load_dataset('arrow', data_files=files, split='train', cache_dir=sys.argv[0] + '.cache')",
      "print(json.dumps({'schema': [[f.name, str(f.type)] for f in table.schema], 'rows': table.num_rows,",
      "  'row': table.slice(12345, 1).to_pylist()[0], 'dataset_rows': len(data), 'dataset_row': data[12345]}))",
    ].join("\n");
    const file = folder.write("open.py", script);
    const environment = { ...process.env, HF_HUB_OFFLINE: "1", HF_HOME: folder.join("hf") };
    const { stdout, stderr, status } = spawnSync(python, [file, ...files], { encoding: "utf8", env: environment });
    expect(status, stderr).toBe(0);
    expect(JSON.parse(stdout.trim().split("\n").at(-1)!)).toEqual({
      schema: [
        ["id", "string"],
        ["title", "string"],
        ["text", "string"],
        ["document", "string"],
        ["start", "int32"],
        ["end", "int32"],
      ],
      rows: 20_000,
      row: { ...store.get(12_345), start: null, end: null },
      dataset_rows: 20_000,
      dataset_row: { ...store.get(12_345), start: null, end: null },
    });
  });
});

describe("a damaged store", () => {
  const copy = (name: string): string => {
    const target = folder.join(name);
    rmSync(target, { recursive: true, force: true });
    cpSync(folder.join("plain"), target, { recursive: true });
    return target;
  };
  /** The manifest as a test may bend it. */
  interface Bent {
    passages: number;
    shards: [Record<string, unknown> | null, ...unknown[]];
    rowsById?: Record<string, unknown> | undefined;
    chunking?: unknown;
  }
  const manifestOf = (target: string): Bent => JSON.parse(readFileSync(`${target}/${MANIFEST_FILE}`, "utf8")) as Bent;
  const shard = "passages-00000.arrow";

  it("is refused when a file is missing, cut off or no manifest, naming it and the command that mends it", () => {
    const cut = copy("damaged");
    truncateSync(`${cut}/${shard}`, 1000);
    expect(message(() => PassageStore.open(cut))).toMatch(/passages-00000\.arrow: the file is cut off or replaced; .*tandem corpus/);
    rmSync(`${cut}/${shard}`);
    expect(message(() => PassageStore.open(cut))).toMatch(/passages-00000\.arrow/);
    const table = copy("damaged");
    writeFileSync(`${table}/rows-by-id.bin`, "");
    expect(message(() => PassageStore.open(table))).toMatch(/rows-by-id\.bin/);
    expect(message(() => PassageStore.open(folder.join("nowhere")))).toMatch(/manifest\.json/);
    for (const content of [
      "",
      "{",
      "[]",
      "null",
      '{"format": "other"}',
      '{"format": "tandem-passages", "version": 2}',
      '{"format": "tandem-passages", "version": 1}',
    ]) {
      writeFileSync(`${table}/${MANIFEST_FILE}`, content);
      expect(message(() => PassageStore.open(table))).toMatch(/manifest\.json/);
    }
  });

  it("is refused when the manifest points outside the folder or its counts contradict each other", () => {
    const target = copy("damaged");
    const good = manifestOf(target);
    const changes: [(manifest: Bent) => void, RegExp][] = [
      [(m) => (m.shards[0]!.file = "../plain/passages-00000.arrow"), /a file outside the store/],
      [(m) => (m.shards[0]!.file = "/etc/passwd"), /a file outside the store/],
      [(m) => (m.shards[0]!.file = ".."), /a file outside the store/],
      [(m) => (m.shards[0] = null), /a file outside the store/],
      [(m) => (m.rowsById = undefined), /a file outside the store/],
      [(m) => (m.shards[0]!.rows = -1), /rows of/],
      [(m) => (m.shards[0]!.bytes = "12"), /bytes of/],
      [(m) => (m.passages = 5), /don't sum up/],
      [(m) => (m.rowsById!.bytes = 8), /size of the id table/],
      [(m) => delete m.chunking, /chunking/],
    ];
    for (const [change, expected] of changes) {
      const manifest = structuredClone(good);
      change(manifest);
      writeFileSync(`${target}/${MANIFEST_FILE}`, JSON.stringify(manifest));
      expect(message(() => PassageStore.open(target))).toMatch(expected);
    }
  });

  it("is refused at first use when a shard isn't what the manifest says", () => {
    const target = copy("damaged");
    const manifest = manifestOf(target);
    const replace = (content: Uint8Array): (() => unknown) => {
      writeFileSync(`${target}/${shard}`, content);
      manifest.shards[0]!.bytes = content.length;
      writeFileSync(`${target}/${MANIFEST_FILE}`, JSON.stringify(manifest));
      return () => PassageStore.open(target).get(0);
    };
    expect(message(replace(new Uint8Array(100)))).toMatch(/passages-00000\.arrow/);
    expect(message(replace(Buffer.from("ARROW1\0\0 and then nothing of the kind")))).toMatch(/passages-00000\.arrow/);
    const rows = { id: ["a"], title: ["b"], text: ["c"], document: ["d"] };
    expect(message(replace(RecordBatchFileWriter.writeAll(tableFromArrays(rows)).toUint8Array(true)))).toMatch(/other columns/);
    copyFileSync(folder.join("large-shards", shard), `${target}/${shard}`);
    expect(message(replace(readFileSync(`${target}/${shard}`)))).toMatch(/another number of rows/);
  });

  it("is found by verify() when a byte changed that sizes don't show", () => {
    const target = copy("damaged");
    PassageStore.open(target).verify();
    const bytes = readFileSync(`${target}/${shard}`);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(`${target}/${shard}`, bytes);
    expect(message(() => PassageStore.open(target).verify())).toMatch(/passages-00000\.arrow: the content changed/);
  });
});

describe("memory", () => {
  it.skipIf(process.platform !== "linux")(
    "cozyrag 14: reading every passage of 120 MB by number and by id keeps private memory flat",
    () => {
      const compiled = compileSources("store-memory");
      try {
        const result = compiled.run(
          `
        import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
        import { StoreWriter } from "./corpus/store-writer.js";
        import { PassageStore } from "./corpus/passage-store.js";
        import { makeManifest } from "./corpus/passage-manifest.js";
        import { noFacts } from "./corpus/chunk-paragraphs.js";
        import { passageId, passageContentKey } from "./corpus/passage.js";
        const folder = ${JSON.stringify(folder.join("memory"))};
        mkdirSync(folder);
        const anonymous = () => { gc(); return Number(/RssAnon:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024; };
        const filler = "lorem ipsum dolor sit amet ".repeat(110);
        const writer = new StoreWriter(folder, 32_000_000);
        let building = 0;
        for (let i = 0; i < 40_000; i++) {
          const body = { document: "d" + (i >> 4), title: "Title " + (i >> 4), text: i + " " + filler };
          writer.add({ passages: [{ id: passageId(body), ...body, contentKey: passageContentKey(body) }], facts: noFacts() });
          if (i % 8_000 === 0) building = Math.max(building, anonymous());
        }
        const chunking = { titleTemplate: "{title}. {text}" };
        writeFileSync(folder + "/manifest.json", JSON.stringify(makeManifest({ ...writer.finish(folder), source: {}, chunking })));
        const store = PassageStore.open(folder);
        store.get(0); store.rowOf(store.field(0, "id"));
        const before = anonymous();
        let most = before, found = 0;
        for (let i = 0; i < store.size; i++) {
          const row = (i * 7919) % store.size;
          const { id, text } = store.get(row);
          if (text.startsWith(row + " ") && (i % 10 || store.rowOf(id) === row)) found += 1;
          if (i % 8_000 === 0) most = Math.max(most, anonymous());
        }
        const bytes = store.manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0) / 2 ** 20;
        console.log(JSON.stringify({ found, megabytes: bytes, shards: store.manifest.shards.length, grown: most - before, building }));
        `,
          { flags: ["--expose-gc"] },
        ) as { found: number; megabytes: number; shards: number; grown: number; building: number };
        expect(result.found).toBe(40_000);
        expect(result.megabytes).toBeGreaterThan(110);
        expect(result.shards).toBeGreaterThan(3);
        expect(result.grown).toBeLessThan(25);
        expect(result.building).toBeLessThan(150);
      } finally {
        compiled.remove();
      }
    },
  );
});

describe("the set of digests", () => {
  it("property: says of each digest whether it came before, through growth", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 500 }), { maxLength: 1500 }), (numbers) => {
        const set = new DigestSet(1);
        const seen = new Set<number>();
        for (const number of numbers) {
          // Few distinct first words, so that probing has to tell neighbours apart.
          const digest = `${(number % 3).toString(16).padStart(8, "0")}${number.toString(16).padStart(24, "0")}`;
          expect(set.add(digest)).toBe(!seen.has(number));
          seen.add(number);
        }
        expect(set.size).toBe(seen.size);
      }),
      { numRuns: 30 },
    );
    expect(() => new DigestSet().add("xyz")).toThrow(/not a digest/);
  });
});
