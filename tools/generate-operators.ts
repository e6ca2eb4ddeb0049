/**
 * Writes src/engine/operators.generated.ts: the `Tensor` class and the `ops` record, one typed function for every operator in tools/operators.txt, read from the
 * schemas of the libtorch that is installed. Not a parser of every schema: a type that no listed operator uses fails with its name.
 *
 * Run: npx tsx tools/generate-operators.ts [--check]
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { native } from "../src/engine/native.js";

interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly optional: boolean;
}

interface Operator {
  readonly name: string;
  readonly overload: string;
  readonly jsName: string;
  readonly schema: string;
  readonly parameters: readonly Parameter[];
  readonly returns: readonly string[];
}

const ROOT = path.join(import.meta.dirname, "..");
const TARGET = path.join(ROOT, "src/engine/operators.generated.ts");

/** What a schema type is in TypeScript; `undefined` for types that are always left at their default. */
function typescriptType(type: string): string | undefined {
  const plain = type.replace(/\([a-z!|>* -]+\)/g, "");
  const types: Record<string, string | undefined> = {
    Tensor: "Tensor",
    "Tensor?": "Tensor | null",
    "Tensor[]": "readonly Tensor[]",
    "Tensor?[]": "readonly (Tensor | null)[]",
    Scalar: "number",
    "Scalar?": "number | null",
    int: "number",
    SymInt: "number",
    "int?": "number | null",
    "SymInt?": "number | null",
    float: "number",
    "float?": "number | null",
    bool: "boolean",
    "bool?": "boolean | null",
    str: "string",
    "str?": "string | null",
    ScalarType: "Dtype",
    "ScalarType?": "Dtype | null",
    Device: "string",
    "Device?": "string | null",
    "Layout?": undefined,
    MemoryFormat: undefined,
    "MemoryFormat?": undefined,
    "Generator?": undefined,
  };
  if (/^(Sym)?[Ii]nt\[\d*\]$/.test(plain)) return /\[\d+\]/.test(plain) ? "number | readonly number[]" : "readonly number[]";
  if (/^(Sym)?[Ii]nt\[\d*\]\?$/.test(plain)) return "number | readonly number[] | null";
  if (!(plain in types)) throw new Error(`tools/generate-operators: schema type '${type}' is not handled`);
  return types[plain];
}

/** Splits at commas that stand outside brackets. */
function splitTopLevel(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = "";
  for (const character of text) {
    if ("([".includes(character)) depth++;
    if (")]".includes(character)) depth--;
    if (character === "," && depth === 0) {
      parts.push(current.trim());
      current = "";
    } else current += character;
  }
  if (current.trim() !== "") parts.push(current.trim());
  return parts;
}

const camelCase = (name: string): string => name.replace(/^_+/, "").replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function parseSchema(schema: string, name: string, overload: string, jsName: string): Operator {
  const match = /^[\w:.]+\((.*)\) -> (.*)$/.exec(schema);
  if (match === null) throw new Error(`tools/generate-operators: cannot read schema ${schema}`);
  const [, argumentText = "", returnText = ""] = match;
  const parameters = splitTopLevel(argumentText)
    .filter((part) => part !== "*")
    .map((part) => {
      const [, type = "", parameter = "", fallback] = /^(.*) (\w+)(=.*)?$/.exec(part) ?? [];
      return { name: camelCase(parameter), type, optional: fallback !== undefined || type.endsWith("?") };
    });
  const inner = returnText.startsWith("(") && !returnText.startsWith("(a") ? returnText.slice(1, -1) : returnText;
  return { name, overload, jsName, schema, parameters, returns: splitTopLevel(inner).map((part) => part.split(" ")[0] ?? "") };
}

function readOperators(): Operator[] {
  const lines = readFileSync(path.join(ROOT, "tools/operators.txt"), "utf8").split("\n");
  return lines
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "")
    .map((line) => {
      const [, name = "", overload = "", jsName] = /^(\w+::\w+)(?:\.(\w+))?(?: as (\w+))?$/.exec(line) ?? [];
      const schema = native().schema(name, overload);
      if (schema === null) throw new Error(`tools/operators.txt: this libtorch has no operator ${line}`);
      return parseSchema(schema, name, overload, jsName ?? camelCase(name.split("::")[1] ?? ""));
    });
}

const RESERVED = new Set(["var", "in", "default", "function", "with", "new"]);
const safe = (name: string): string => (RESERVED.has(name) ? `${name}_` : name);

/** How an argument travels to C++. */
function passed(parameter: Parameter): string {
  const name = safe(parameter.name);
  const type = typescriptType(parameter.type);
  if (type === undefined) return "undefined";
  if (type === "Tensor") return parameter.optional ? `${name}?.handle` : `${name}.handle`;
  if (type === "Tensor | null") return `${name}?.handle`;
  if (type === "readonly Tensor[]") return `handlesOf(${name})`;
  if (type === "readonly (Tensor | null)[]") return `${name}.map((tensor) => tensor?.handle ?? null)`;
  return name;
}

function signature(parameters: readonly Parameter[], widened: ReadonlyMap<string, string>): string {
  const visible = parameters.filter((parameter) => typescriptType(parameter.type) !== undefined);
  return visible
    .map((parameter, index) => {
      const optional = visible.slice(index).every((later) => later.optional);
      const type = widened.get(parameter.name) ?? typescriptType(parameter.type) ?? "";
      const nullable = parameter.optional && !optional && !type.includes("null") ? `${type} | undefined` : type;
      return `${safe(parameter.name)}${optional ? "?" : ""}: ${nullable}`;
    })
    .join(", ");
}

function resultType(operator: Operator): string {
  const types = operator.returns.map((type) => {
    const plain = type.replace(/\([a-z!|>* -]+\)/g, "");
    if (plain === "Tensor") return "Tensor";
    if (plain === "Tensor[]") return "Tensor[]";
    if (plain === "bool") return "boolean";
    return "number";
  });
  if (operator.jsName.endsWith("_") || types.length === 0) return "void";
  return types.length === 1 ? (types[0] ?? "void") : `[${types.join(", ")}]`;
}

/** The expression that calls one overload with the parameters' names in scope. */
function invocation(operator: Operator, index: number): string {
  const result = resultType(operator);
  const passing = [`op(${index})`, ...operator.parameters.map(passed)];
  while (passing.at(-1) === "undefined") passing.pop();
  const call = `(${passing.join(", ")})`;
  if (result === "void") return `native().run${call}`;
  if (result === "Tensor") return `one(native().call${call})`;
  if (result === "Tensor[]" || result.startsWith("[")) return `many(native().call${call}) as ${result}`;
  return `native().call${call} as ${result}`;
}

/** Position at which two overloads of a name take a tensor and a number, so that one function can tell them apart. */
function tellingParameter(first: Operator, second: Operator): number {
  return first.parameters.findIndex((parameter, index) => {
    const types = [typescriptType(parameter.type), typescriptType(second.parameters[index]?.type ?? "int")];
    return types.includes("Tensor") && types.includes("number");
  });
}

interface Generated {
  readonly jsName: string;
  readonly isMethod: boolean;
  readonly doc: string;
  readonly signature: string;
  readonly methodSignature: string;
  readonly result: string;
  readonly body: string;
  readonly arguments: readonly string[];
}

function generate(group: readonly (readonly [Operator, number])[]): Generated {
  const [[first, firstIndex], second] = [group[0] ?? [], group[1]] as [
    readonly [Operator, number],
    readonly [Operator, number] | undefined,
  ];
  const widened = new Map<string, string>();
  let body = invocation(first, firstIndex);
  if (second !== undefined) {
    const telling = tellingParameter(first, second[0]);
    const name = first.parameters[telling]?.name;
    if (group.length > 2 || name === undefined) throw new Error(`tools/operators.txt: overloads of '${first.jsName}' need 'as' names`);
    widened.set(name, "Tensor | number");
    const [tensorCall, numberCall] =
      typescriptType(first.parameters[telling]?.type ?? "") === "Tensor" ? [body, invocation(...second)] : [invocation(...second), body];
    body = `typeof ${name} === "number" ? ${numberCall} : ${tensorCall}`;
  }
  const self = first.parameters[0];
  const isMethod = self?.type.replace(/\(.*\)/, "") === "Tensor" && ["self", "input", "x"].includes(self.name);
  const visible = first.parameters.filter((parameter) => typescriptType(parameter.type) !== undefined);
  return {
    jsName: first.jsName,
    isMethod,
    doc: group.map(([operator]) => `\`${operator.schema}\``).join(" or "),
    signature: signature(first.parameters, widened),
    methodSignature: signature(first.parameters.slice(1), widened),
    result: resultType(first),
    body,
    arguments: visible.map((parameter) => safe(parameter.name)),
  };
}

function render(operators: readonly Operator[]): string {
  const groups = new Map<string, [Operator, number][]>();
  operators.forEach((operator, index) => groups.set(operator.jsName, [...(groups.get(operator.jsName) ?? []), [operator, index]]));
  const functions = [...groups.values()].map(generate);
  const methods = functions
    .filter((entry) => entry.isMethod)
    .map((entry) => {
      const inPlace = entry.result === "void";
      const call = `ops.${entry.jsName}(${["this", ...entry.arguments.slice(1)].join(", ")})`;
      const body = inPlace ? `${call};\n    return this;` : `return ${call};`;
      return `  /** ${entry.doc} */\n  ${entry.jsName}(${entry.methodSignature}): ${inPlace ? "this" : entry.result} {\n    ${body}\n  }`;
    });
  const members = functions.map(
    (entry) =>
      `  /** ${entry.doc} */\n  ${entry.jsName}(${entry.signature}): ${entry.result} {\n    ${entry.result === "void" && !entry.body.includes("?") ? "" : entry.result === "void" ? "" : "return "}${entry.body};\n  },`,
  );
  return [
    "// Generated by tools/generate-operators.ts from tools/operators.txt and libtorch's schemas. Do not edit.",
    "/* eslint-disable */",
    'import type { Dtype } from "./dtype.js";',
    'import { native, operator, type OperatorResult } from "./native.js";',
    'import { TensorHandle } from "./tensor-handle.js";',
    "",
    "const OPERATORS: readonly (readonly [string, string])[] = [",
    ...operators.map((entry) => `  ["${entry.name}", "${entry.overload}"],`),
    "];",
    "",
    "const numbers: number[] = [];",
    "function op(index: number): number {",
    "  return (numbers[index] ??= operator(...OPERATORS[index]!));",
    "}",
    "function one(result: OperatorResult): Tensor {",
    "  return new Tensor(result as number);",
    "}",
    "function many(result: OperatorResult): unknown {",
    '  return (result as OperatorResult[]).map((entry) => (typeof entry === "number" ? one(entry) : entry));',
    "}",
    "function handlesOf(tensors: readonly Tensor[]): number[] {",
    "  return tensors.map((tensor) => tensor.handle);",
    "}",
    "",
    "/** A tensor on a device, with PyTorch's operators under PyTorch's names in camelCase; arguments in the order of the schema. */",
    "export class Tensor extends TensorHandle {",
    "  /** The gradient that backward() accumulated, or undefined. */",
    "  get grad(): Tensor | undefined {",
    "    const handle = native().gradOf(this.handle);",
    "    return handle === 0 ? undefined : new Tensor(handle);",
    "  }",
    methods.join("\n"),
    "}",
    "",
    "/** Every operator as a function. */",
    "export const ops = {",
    members.join("\n"),
    "};",
    "",
  ].join("\n");
}

const text = render(readOperators());
if (process.argv.includes("--check")) {
  if (readFileSync(TARGET, "utf8") !== text) {
    console.error("src/engine/operators.generated.ts differs from this libtorch's schemas; run: npx tsx tools/generate-operators.ts");
    process.exitCode = 1;
  }
} else writeFileSync(TARGET, text);
