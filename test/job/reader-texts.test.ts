/**
 * Proves that where the reader scores passages the training's settings of texts hold as elsewhere: question, answer and candidates of one example are renamed alike for retriever and reader, anew in each step and whichever questions
 * share the batch, and the reader is shown the sentences that the filter keeps.
 * Alone: npx vitest run test/job/reader-texts.test.ts
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { renderYaml } from "../../src/config/render.js";
import type { TandemConfig } from "../../src/config/schema.js";
import { setThreads } from "../../src/engine/info.js";
import { scope } from "../../src/engine/scope.js";
import { closeRun, openRun, type OpenRun } from "../../src/job/run/open-run.js";
import { createRunDirectory } from "../../src/tracking/run-directory.js";
import { collectVersions } from "../../src/tracking/versions.js";
import { sumOf } from "../../src/training/loss-terms.js";
import type { ReaderBatch } from "../../src/training/phases/reader-distillation.js";
import type { Phase } from "../../src/training/phase.js";
import { WHOLE } from "../../src/training/share.js";

setThreads(1);
const folder = mkdtempSync(path.join(os.tmpdir(), "tandem-reader-texts-"));
let config: TandemConfig;
let places: string;
let open: OpenRun;

interface Own {
  readonly prompt?: Partial<TandemConfig["prompt"]>;
  readonly reader?: Partial<TandemConfig["train"]["reader"]>;
  /** data.rename.enabled */
  readonly rename?: boolean;
}

const opened = ({ prompt = {}, reader = {}, rename = true }: Own = {}): Promise<OpenRun> => {
  const train = { ...config.train, reader: { ...config.train.reader, ...reader } };
  const data = { ...config.data, rename: { ...config.data.rename, enabled: rename } };
  return openRun({ ...config, data, train, prompt: { ...config.prompt, ...prompt } }, places, () => undefined);
};

beforeAll(async () => {
  const schedule = "train.schedule=[{phase: refresh}, {phase: reader-distillation, steps: 1}]";
  const words = ["experiment=tiny", "device=cpu", `run.dir=${folder}`, schedule, "train.reader.batch=4", "train.reader.passages=3"];
  config = loadConfig({ overrides: words }).config;
  const about = { name: config.name, configYaml: renderYaml(config), overrides: [], versions: collectVersions() };
  places = createRunDirectory(config.run.dir, about).path;
  open = await opened();
}, 120_000);
afterAll(() => {
  closeRun(open);
  rmSync(folder, { recursive: true });
});

/** Four candidates a question: its gold passages first. */
function phaseOf({ phases, store }: OpenRun): Phase<ReaderBatch> {
  const rowsOf = (question: number): number[] => [
    ...new Set([...(phases.goldRows[question] ?? []), ...[0, 1, 2, 3].map((i) => (question + i) % store.size)]),
  ];
  return phases.retriever.reader({ k: 4, rowsOf: (question) => rowsOf(question).slice(0, 4) }, false);
}

const NAME = /^\p{Lu}\p{L}+$/u;

describe("what the reader's phases are made of", () => {
  it("is renamed alike for the retriever and the reader, in question, answer and passages", () => {
    const batch = phaseOf(open).batch(3);
    let named = 0;
    for (const [q, { index, asked, shown }] of batch.members.entries()) {
      const original = open.sets.train[index]!;
      // The retriever's question is the reader's.
      expect(open.encoder.tokenise([asked.question], "query")[0]).toEqual(batch.queries[q]!.ids);
      for (const { title, text, embedded } of shown!.values()) {
        expect(embedded).toBe(`${title}. ${text}`);
      }
      const gold = shown!.get(open.phases.goldRows[index]![0]!)!;
      const old = original.document!;
      if (!original.question.includes(old)) continue;
      named += 1;
      expect(gold.title).toMatch(NAME);
      expect(gold.title).not.toBe(old);
      expect(asked.question).toBe(original.question.replaceAll(old, gold.title));
      expect(JSON.stringify([...shown!.values()])).not.toContain(old);
      expect(gold.text).toContain(asked.answer);
    }
    expect(named).toBeGreaterThan(1);
  });

  it("is drawn anew in each step, the same for a question whoever is beside it", () => {
    const phase = phaseOf(open);
    const one = phase.batch(3).members;
    expect(phase.batch(3).members).toEqual(one);
    const renamed = one.find(({ index, asked }) => asked.question !== open.sets.train[index]!.question)!;
    const epochs = Array.from({ length: 60 }, (_, step) => phase.batch(step).members.find(({ index }) => index === renamed.index));
    const met = epochs.flatMap((member) => (member === undefined ? [] : [member.asked.question]));
    expect(met.length).toBeGreaterThan(2);
    expect(new Set(met).size).toBe(met.length);
    const alone = phase.batch(3, { ...WHOLE, own: (all) => all.slice(2, 3) }).members;
    expect(alone).toEqual(one.slice(2, 3));
  });

  it("keeps the corpus's names where train.reader.rename is false, and the generator's own batches have new ones", async () => {
    const [own, none] = [await opened({ reader: { rename: false } }), await opened({ rename: false })];
    const batch = phaseOf(own).batch(3);
    expect(batch).toEqual(phaseOf(none).batch(3));
    expect(batch.members.map(({ asked }) => asked.question)).not.toEqual(
      phaseOf(open)
        .batch(3)
        .members.map(({ asked }) => asked.question),
    );
    const generators = ({ phases }: OpenRun): unknown => phases.generator.reading(undefined, 10).batch(3);
    expect(generators(own)).toEqual(generators(open));
    expect(generators(own)).not.toEqual(generators(none));
    for (const each of [own, none]) closeRun(each);
  }, 120_000);

  it("is cut by the sentence filter for the reader alone", async () => {
    const filtered = await opened({ prompt: { sentence_filter: { sentences: 1, tokens: null } } });
    const [whole, cut] = [open, filtered].map((each) => {
      const phase = phaseOf(each);
      const batch = phase.batch(3);
      return { batch, loss: scope(() => sumOf(phase.losses(batch)["pdist"]!)) };
    });
    closeRun(filtered);
    expect(cut!.batch).toEqual(whole!.batch);
    expect(Math.abs(cut!.loss - whole!.loss)).toBeGreaterThan(1e-6);
  }, 120_000);
});
