/**
 * Proves that templates come from files as they stand, that every slip in one is a line with file and line number before anything runs, and that a saved config holds the text and no longer needs
 * the file. Alone: npx vitest run test/config/prompt-templates.test.ts
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { loadConfig } from "../../src/config/load-config.js";
import { UserError } from "../../src/errors.js";
import { checkPromptFormat } from "../../src/generation/prompt.js";
import { generatorFormat } from "../../src/job/models/models.js";
import { configFolder } from "./config-folder.js";
import { userErrorOf } from "./user-error.js";

let folder: string;
beforeEach(() => {
  folder = configFolder({ config: "" });
});
const load = (...overrides: string[]) => loadConfig({ configDir: folder, overrides });
const refusal = (...overrides: string[]): string => userErrorOf(() => load(...overrides));

let files = 0;
function file(content: string | Uint8Array): string {
  const name = path.join(folder, `template-${files++}.txt`);
  writeFileSync(name, content);
  return name;
}

describe("a template file", () => {
  it("takes the place of the template, without the line break that ends the file", () => {
    const open = file("Read this.\r\n{context}\r\n\r\nQuestion: {question}\r\nAnswer:\r\n");
    const closed = file("Question: {question}\nAnswer:\n\n");
    const { config, warnings } = load(`prompt.template_file=${open}`, `prompt.closed_book_template_file=${closed}`);
    expect(config.prompt.template).toBe("Read this.\n{context}\n\nQuestion: {question}\nAnswer:");
    expect(config.prompt.closed_book_template).toBe("Question: {question}\nAnswer:\n");
    expect([config.prompt.template_file, config.prompt.closed_book_template_file]).toEqual([null, null]);
    expect(warnings).toEqual([]);
  });

  it("is no longer needed by a config that was saved", () => {
    const open = file("{context} Q: {question} A:");
    const { config } = load(`prompt.template_file=${open}`, "++prompt.variables.style=short");
    const saved = path.join(folder, "saved.yaml");
    writeFileSync(saved, stringify(config));
    rmSync(open);
    expect(loadConfig({ base: saved }).config).toEqual(config);
  });

  it("warns of a template that it takes the place of", () => {
    const open = file("{context} Q: {question} A:");
    expect(load(`prompt.template_file=${open}`, "prompt.template='C: {context} {question}'").warnings.join()).toContain(
      "'prompt.template' isn't read: prompt.template_file takes its place",
    );
  });

  it.each([
    ["Context:\n{context}\n{qestion}\nA:", 3, "has an unknown place {qestion}", "or give prompt.variables.qestion"],
    ["{context}\n\n{question}\n{question}", 4, "holds {question} twice", "take one out"],
    ["{context}\n{context}{question}", 2, "holds {context} twice", "take one out"],
    ["{context}\n{history}{question}{history}", 2, "holds {history} twice", "take one out"],
    ["Context: {context}\nA:\n", 2, "has no {question}", "write {question} where it belongs"],
    ["Q: {question}", 1, "has no {context}", "write {context} where it belongs"],
    ["", 1, "has no {context}", "write {context} where it belongs"],
    ["{context}{question}{}", 1, "has an unknown place {}", "write one of them"],
    ["{context}\n{question} {answer}", 2, "has an unknown place {answer}", "write one of them"],
  ])("that reads %j is refused on line %i: %s", (content, line, what, remedy) => {
    const name = file(content);
    const said = refusal(`prompt.template_file=${name}`);
    expect(said.startsWith(`${name}:${line}: 'prompt.template' ${what}`)).toBe(true);
    expect(said).toContain(remedy);
    expect(said).not.toContain("\n");
  });

  it("{context} in the closed-book template is unknown", () => {
    const name = file("Q: {question}\nC: {context}");
    expect(refusal(`prompt.closed_book_template_file=${name}`)).toContain(`${name}:2: 'prompt.closed_book_template' has an unknown place`);
  });

  it("that is missing, a folder, not UTF-8 or no text is one line that names it", () => {
    const missing = path.join(folder, "missing.txt");
    expect(refusal(`prompt.template_file=${missing}`)).toBe(
      `${missing}: no such template file (override 1 'prompt.template_file=${missing}'); name a text file`,
    );
    const directory = path.join(folder, "directory");
    mkdirSync(directory);
    expect(refusal(`prompt.template_file=${directory}`)).toMatch(/can't be read as a template: EISDIR/);
    expect(refusal(`prompt.template_file=${file(Uint8Array.of(0x7b, 0xff, 0xfe))}`)).toMatch(/not UTF-8 text/);
    expect(refusal(`prompt.template_file=${file("{context}\0{question}")}`)).toMatch(/not a text file/);
  });
});

describe("variables", () => {
  it("stand in templates under their own names, numbers too", () => {
    const { config } = load(
      "++prompt.variables.style=briefly",
      "++prompt.variables.words=3",
      "prompt.template='Answer {style} in {words} words. {context} {question}'",
    );
    expect(generatorFormat(config.prompt).open.variables).toEqual({ style: "briefly", words: "3" });
  });

  it("that stand nowhere warn", () => {
    expect(load("++prompt.variables.style=x").warnings).toEqual([
      expect.stringContaining("'prompt.variables.style' stands in no template"),
    ]);
  });

  it.each([
    ["++prompt.variables.question=x", "'prompt.variables.question' has a meaning of its own"],
    ["++prompt.variables.context=x", "'prompt.variables.context' has a meaning of its own"],
    ["++prompt.variables.a-b=x", "'prompt.variables.a-b' is no name"],
    ["++prompt.variables.style=null", "'prompt.variables.style' is null"],
  ])("%s is refused", (word, expected) => {
    expect(refusal(word)).toContain(expected);
  });
});

describe("the other templates", () => {
  it.each([
    ["prompt.passage_template='{titel}: {text}'", "'prompt.passage_template' has an unknown place {titel}"],
    ["prompt.passage_template='{title}'", "'prompt.passage_template' has no {text}"],
    ["prompt.history_template='{question}'", "'prompt.history_template' has no {answer}"],
  ])("%s is refused", (word, expected) => {
    expect(refusal(word)).toContain(expected);
  });

  it("a question before the context can't share it with others", () => {
    const before = "prompt.template='Q: {question}\nContext: {context}\nA:'";
    expect(load(before).config.prompt.template).toContain("Q: {question}");
    expect(refusal(before, "train.generator.questions_per_context=2")).toContain("questions can't share a context that follows them");
  });
});

it("the config accepts exactly the templates that the prompt builder does", () => {
  const place = fc.constantFrom("{question}", "{context}", "{history}", "{style}", "{other}", "{", "}", "x ", "\n");
  fc.assert(
    fc.property(fc.array(place, { maxLength: 6 }), (pieces) => {
      const template = pieces.join("");
      fc.pre(template.includes("{context}"));
      const words = ["++prompt.variables.style=s", `prompt.template_file=${file(template)}`];
      const config = accepted(() => load(...words));
      const format = generatorFormat(load().config.prompt).open;
      const builder = accepted(() => {
        checkPromptFormat({ ...format, template, variables: { style: "s" } });
      });
      expect(config).toBe(builder);
    }),
    { numRuns: 60 },
  );
});

function accepted(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}
