/**
 * `tandem corpus check`: what the training, validation and test questions of a config share. What training refuses fails here too, after the report; what it doesn't (a few wordings) is only shown. The trap:
 * examples hold whatever a file holds, so they are shown without control characters.
 */
import type { CommandModule } from "yargs";
import type { Leak, LeakExample, LeakKind } from "../corpus/leaks.js";
import type { LeakReport } from "../job/data/check-leaks.js";
import { UserError } from "../errors.js";
import { plain } from "./hit-text.js";
import { jobDisplay } from "./job-display.js";
import { openNamedStore } from "./named-store.js";
import { configOf, withOverrides, type OverrideArguments } from "./overrides.js";

interface CheckArguments extends OverrideArguments {
  store: string | undefined;
  near: number | undefined;
  examples: number;
  json: boolean;
}

export const check: CommandModule<object, CheckArguments> = {
  command: "check [overrides..]",
  describe: "what training, validation and test questions share",
  builder: (yargs) =>
    withOverrides(yargs)
      .option("store", {
        type: "string",
        requiresArg: true,
        describe: "a passage store, or a run directory: documents and gold passages are looked up there, as training does",
      })
      .option("near", {
        type: "number",
        requiresArg: true,
        describe: "how alike near duplicates are at least, instead of data.questions.near_duplicate: the share of neighbouring word pairs",
      })
      .option("examples", { type: "number", requiresArg: true, default: 3, describe: "examples of each kind at most" })
      .option("json", { type: "boolean", default: false, describe: "print {sets, leaks} as JSON" })
      .example("$0 corpus check --config-dir my-pair", "the files of a config that tandem init wrote")
      .example(
        "$0 corpus check data.questions.train=train.jsonl data.questions.valid=valid.jsonl data.questions.test=test.jsonl",
        "three files",
      )
      .epilogue(
        "What training refuses ends with exit code 2: a document or gold passage in two sets, and, above data.questions.leak_tolerance, near wordings and questions that hold their answers.",
      ),
  handler: async (given) => {
    const { near: wanted, examples, json } = given;
    if (wanted !== undefined && !(wanted > 0 && wanted <= 1))
      throw new UserError({ where: "--near", what: "is no share", expected: "a number above 0, at most 1", got: String(wanted) });
    if (!(Number.isInteger(examples) && examples >= 0))
      throw new UserError({ where: "--examples", what: "is no number of examples", expected: "0 or more", got: String(examples) });
    const { config } = configOf(given, { needed: ["data.questions"] });
    const near = wanted ?? config.data.questions.near_duplicate;
    const { checkLeaks } = await import("../job/data/check-leaks.js");
    const store = given.store === undefined ? undefined : await openNamedStore(given.store);
    const display = jobDisplay({ quiet: json });
    const report = await checkLeaks(config.data, store, { near, examples }, display.report);
    process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : reportText(report, near));
    const guard = { allow: config.data.questions.allow_leaks, tolerance: config.data.questions.leak_tolerance, near };
    const isAllowed = guard.allow.includes("shared_documents");
    const refused = report.leaks.find(({ kind, shared }) => !isAllowed && (kind === "document" || kind === "passage") && shared > 0);
    if (refused !== undefined)
      throw new UserError({
        where: refused.sets.join(" and "),
        what: `the sets share ${counted(refused.shared, NAMES[refused.kind])}, which training refuses`,
        remedy: "split by document: give one file and data.questions.split, or mend the files",
      });
    const { leakFault } = await import("../corpus/leak-guard.js");
    const fault = leakFault(report.refused, guard);
    if (fault !== undefined) throw fault;
  },
};

const NAMES: Readonly<Record<LeakKind, readonly [one: string, many: string]>> = {
  document: ["document", "documents"],
  passage: ["gold passage", "gold passages"],
  question: ["wording", "wordings"],
  "near-question": ["near wording", "near wordings"],
};

function reportText({ sets, leaks, answers }: LeakReport, near: number): string {
  const counts = Object.entries(sets).flatMap(([name, count]) => {
    const { affected = 0, examples = [] } = answers.find(({ set }) => set === name) ?? {};
    const held = affected === 0 ? "" : `, ${affected.toLocaleString("en-US")} of them with an answer inside`;
    const shown = examples.map(({ id, question, answers: [answer = ""] }) => `  ${plain(question)} [${plain(id)}]: ${plain(answer)}`);
    return [`${name}: ${counted(count, ["question", "questions"])}${held}`, ...shown];
  });
  if (leaks.length === 0) return [...counts, "one set only: nothing to compare", ""].join("\n");
  const lines = leaks.flatMap((leak, i) => {
    const isFirst = i === 0 || leaks[i - 1]?.sets.join() !== leak.sets.join();
    return [...(isFirst ? ["", leak.sets.join(" and ")] : []), ...leakLines(leak, near)];
  });
  return [...counts, ...lines, ""].join("\n");
}

function leakLines({ sets, kind, shared, affected, examples }: Leak, near: number): string[] {
  const alike = kind === "near-question" ? ` (${near} or more)` : "";
  if (shared === 0) return [`  no ${NAMES[kind][1]}${alike}`];
  const questions = sets.map((name, i) => `${counted(affected[i] ?? 0, ["question", "questions"])} of ${name}`).join(", ");
  return [`  ${counted(shared, NAMES[kind])}${alike}: ${questions}`, ...examples.map((example) => `    ${exampleText(kind, example)}`)];
}

function exampleText(kind: LeakKind, { shared, similarity, questions }: LeakExample): string {
  const [one, two] = questions.map(({ id, question }) => `${plain(question)} [${plain(id)}]`);
  const head = similarity !== undefined ? `${similarity.toFixed(2)} ` : kind === "question" ? "" : `${plain(shared ?? "")}: `;
  return `${head}${one ?? ""} | ${two ?? ""}`;
}

function counted(count: number, [one, many]: readonly [string, string]): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
