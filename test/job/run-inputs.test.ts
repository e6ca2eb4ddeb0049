/**
 * Proves that a run notes what it read outside its directory and refuses to go on with anything else: a question file that changed, or is gone.
 * Alone: npx vitest run test/job/run-inputs.test.ts
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { loadConfig } from "../../src/config/load-config.js";
import { noteInputs, requireSameInputs } from "../../src/job/run/run-inputs.js";
import { faultOf, namesIn, temporaryFolder } from "../storage/bad-input.js";

const folder = temporaryFolder();
const train = path.join(folder, "train.jsonl");
const entities = path.join(folder, "entities.jsonl");

function configOf(...overrides: string[]): ReturnType<typeof loadConfig>["config"] {
  const words = [
    `data.questions.train=${train}`,
    "data.questions.valid=null",
    "data.questions.test=null",
    `data.rename.entities=${entities}`,
  ];
  return loadConfig({ overrides: ["data=quickstart", ...words, ...overrides] }).config;
}

function freshRun(name: string): string {
  writeFileSync(train, '{"id":"1"}\n');
  writeFileSync(entities, "{}\n");
  const run = path.join(folder, name);
  mkdirSync(run);
  noteInputs(run, configOf());
  return run;
}

it("notes each file with its SHA-256, and none that isn't read", () => {
  const run = freshRun("noted");
  const noted = JSON.parse(readFileSync(path.join(run, "inputs.json"), "utf8")) as Record<string, { path: string; sha256: string }>;
  expect(Object.keys(noted)).toEqual(["questions.train", "rename.entities"]);
  expect(noted["questions.train"]).toEqual({ path: train, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
  const bare = path.join(folder, "bare");
  mkdirSync(bare);
  noteInputs(bare, configOf("data.rename.enabled=false"));
  expect(Object.keys(JSON.parse(readFileSync(path.join(bare, "inputs.json"), "utf8")) as object)).toEqual(["questions.train"]);
});

it("lets a run go on with the same files, and writes nothing then", () => {
  const run = freshRun("same");
  const before = readFileSync(path.join(run, "inputs.json"));
  requireSameInputs(run, configOf());
  expect(readFileSync(path.join(run, "inputs.json"))).toEqual(before);
  expect(namesIn(run)).toEqual(["inputs.json"]);
});

it("lets a run of an older version through, which noted nothing", () => {
  const run = freshRun("old");
  rmSync(path.join(run, "inputs.json"));
  appendFileSync(train, '{"id":"2"}\n');
  requireSameInputs(run, configOf());
  expect(namesIn(run)).toEqual([]);
});

it("refuses a file that changed, naming key and path, and one that is gone", () => {
  const run = freshRun("changed");
  appendFileSync(train, '{"id":"2"}\n');
  expect(faultOf(() => requireSameInputs(run, configOf()))).toMatch(
    /^data\.questions\.train: .*train\.jsonl is not the file this run began with; expected SHA-256 [0-9a-f]{64}, got [0-9a-f]{64}; put the old file back/,
  );
  rmSync(train);
  expect(faultOf(() => requireSameInputs(run, configOf()))).toContain(train);
});

it("holds a teacher's folder to what it said when the run began", () => {
  const teacher = path.join(folder, "teacher");
  mkdirSync(path.join(teacher, "1_Pooling"), { recursive: true });
  writeFileSync(path.join(teacher, "config.json"), "{}");
  writeFileSync(path.join(teacher, "1_Pooling", "config.json"), "{}");
  const run = freshRun("taught");
  const rule = "train.contrastive.mining.relative_margin=0.05";
  const config = configOf(`train.contrastive.mining.teacher.path=${teacher}`, rule, "train.contrastive.hard_negatives=1");
  noteInputs(run, config);
  writeFileSync(path.join(teacher, "README.md"), "words");
  requireSameInputs(run, config);
  writeFileSync(path.join(teacher, "1_Pooling", "config.json"), '{"pooling_mode_cls_token":true}');
  expect(faultOf(() => requireSameInputs(run, config))).toMatch(
    /^train\.contrastive\.mining\.teacher\.path: .*teacher is not the folder this run began with; expected SHA-256 .*put the old folder back/,
  );
  rmSync(teacher, { recursive: true });
  expect(faultOf(() => requireSameInputs(run, config))).toMatch(/there is no folder .*teacher/);
});
