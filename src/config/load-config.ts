/**
 * From files and overrides to the checked configuration: compose, interpolate, check, convict, cross-check. The one door for every command. The
 * trap: relative paths count from the current folder, and in {@link LoadedConfig.config} they are absolute already, so that a saved run can be
 * resumed from anywhere; `composed` has them as they were written.
 */
import { homedir } from "node:os";
import path from "node:path";
import convict from "convict";
import { type Fault, UserError } from "../errors.js";
import { checkTree, examineTree, gapFault } from "./check-tree.js";
import { compose, composeFile, type Composition, schemaDefault } from "./compose.js";
import { crossCheck, crossFaults } from "./check-config.js";
import { expandSchedule } from "./expand-schedule.js";
import { type Environment, interpolate } from "./interpolate.js";
import { isLeaf, type Leaf, type Section } from "./leaf.js";
import { missingFiles } from "./missing-files.js";
import { modelPlace } from "./model-name.js";
import { resolveTemplates } from "./prompt-templates.js";
import { schema, type TandemConfig } from "./schema.js";
import { defaultsTree, schemaKeys, schemaLeaves } from "./schema-keys.js";
import { searchPath } from "./search-path.js";

export interface LoadOptions {
  /** A folder that is searched before the package's own `conf/`. */
  readonly configDir?: string;
  /** The file that composition starts from, without `.yaml`. */
  readonly configName?: string;
  /** `key=value` words, applied from left to right. */
  readonly overrides?: readonly string[];
  /** A complete configuration, such as a run's `config.yaml`, in place of composition; overrides go over it. */
  readonly base?: string;
  /** Prefixes of the keys that the command reads: a `???` is a mistake only there. undefined: everywhere. */
  readonly needed?: readonly string[];
  /** What nothing but `base` can give, for {@link findFaults}: its paths; of a run's own config, which holds every key, something of each section. */
  readonly standsAs?: "own-file" | "run";
  /** Stands in for the process's environment in tests. */
  readonly environment?: Environment;
}

export interface LoadedConfig {
  /** Complete and checked, paths absolute, the prompt's templates read from their files. */
  readonly config: TandemConfig;
  /** The same with paths as they were written. */
  readonly composed: TandemConfig;
  /** Who set each key: `conf/train/base.yaml:12`, `override 3 'train.lr=1'` or `schema default`. */
  readonly sources: Readonly<Record<string, string>>;
  /** What each group was set to. */
  readonly choices: Readonly<Record<string, string>>;
  /** The files read, the last wins. */
  readonly files: readonly string[];
  readonly overrides: readonly string[];
  /** Keys that are `???` and weren't needed; the configuration has the schema's default there. */
  readonly missing: readonly string[];
  /** What is allowed and yet doubtful, one line each; the command prints them. */
  readonly warnings: readonly string[];
}

/**
 * Loads the configuration of a command.
 * @throws UserError with file and line, or the override, for every mistake
 */
export function loadConfig(options: LoadOptions = {}): LoadedConfig {
  const { resolved, choices, files, overrides, check, doubts } = resolveFrom(options);
  const { plain, sources, missing } = checkTree(resolved, check);
  const composed = throughConvict(plain);
  const { config, warnings } = settled(composed, sources);
  return {
    config,
    composed,
    sources,
    choices,
    files,
    overrides,
    missing,
    warnings: [...doubts, ...warnings, ...crossCheck(config, sources, missing)],
  };
}

/**
 * What is wrong with a configuration, all that can be seen at once, and what is doubtful. What can't be composed has one fault, since nothing after it can be seen; contradictions between keys are looked
 * for once each value is right by itself, and a warning says where they were not.
 */
export function findFaults(options: LoadOptions = {}): { readonly faults: readonly Fault[]; readonly warnings: readonly string[] } {
  try {
    const { resolved, check, files, doubts } = resolveFrom(options);
    const orElse = "or --partial to let it pass";
    const { plain, sources, missing, faults: own, isWhole } = examineTree(resolved, { ...check, orElse });
    const faults = [...own, ...lacking(options, plain, sources, missing, files.at(-1) ?? "", orElse)];
    if (!isWhole) return { faults, warnings: ["contradictions between keys are looked for once the values are right"] };
    const absolute = absolutePaths(schema, throughConvict(plain)) as TandemConfig;
    const templates = templatesOf(absolute, sources);
    const crossed = crossFaults(absolute, sources, missing);
    const gone = missingFiles(absolute, sources).map(({ what, where }) => `${what} (${where})`);
    return {
      faults: [...faults, ...templates.faults, ...crossed.faults],
      warnings: [...doubts, ...templates.warnings, ...crossed.warnings, ...gone],
    };
  } catch (error) {
    if (error instanceof UserError) return { faults: [error.fault], warnings: [] };
    throw error;
  }
}

/** The first fault of the templates, which can't be read further. */
function templatesOf(config: TandemConfig, sources: Readonly<Record<string, string>>): { faults: Fault[]; warnings: string[] } {
  try {
    return { faults: [], warnings: resolveTemplates(config.prompt, sources).warnings };
  } catch (error) {
    if (error instanceof UserError) return { faults: [error.fault], warnings: [] };
    throw error;
  }
}

/** What a file that stands alone leaves out, where nobody else can give it. */
function lacking(
  { standsAs, needed }: LoadOptions,
  plain: unknown,
  sources: Readonly<Record<string, string>>,
  missing: readonly string[],
  file: string,
  orElse: string,
): Fault[] {
  if (standsAs === undefined || needed !== undefined) return [];
  if (standsAs === "run") {
    const fault = cutRun(file, sources);
    return fault === undefined ? [] : [fault];
  }
  return schemaLeaves(schema)
    .filter(({ key }) => OWN_PATHS.includes(key) && !missing.includes(key) && valueAt(plain, key) === null)
    .map(({ key, leaf }) => gapFault(key, leaf, sources[key] === schemaDefault ? file : (sources[key] ?? file), { orElse }));
}

/**
 * A run's saved config, with `key=value` words over it.
 *
 * @throws UserError when the file was cut off: the run would go on with defaults and give other answers
 */
export function loadRunConfig(file: string, overrides: readonly string[] = []): LoadedConfig {
  const loaded = loadConfig({ base: file, overrides });
  const fault = cutRun(file, loaded.sources);
  if (fault !== undefined) throw new UserError(fault);
  return loaded;
}

function cutRun(file: string, sources: Readonly<Record<string, string>>): Fault | undefined {
  const keys = schemaLeaves(schema).map(({ key }) => key);
  const written = keys.filter((key) => sources[key] !== undefined && sources[key] !== schemaDefault);
  const sectionOf = (key: string | undefined): string => key?.split(".")[0] ?? "";
  const gone = RUN_SECTIONS.filter((section) => !written.some((key) => sectionOf(key) === section));
  // A file that was cut off ends in the midst of a section. Sections that came later aren't in a run of an older version.
  const end = written.at(-1);
  const last = keys.findLast((key) => sectionOf(key) === sectionOf(end));
  if (gone.length === 0 && end === last) return undefined;
  return {
    where: file,
    what: "is not the whole config of a run",
    expected: `${RUN_SECTIONS.join(", ")}, each to its last key`,
    got: `no ${gone.length > 0 ? gone.join(", no ") : (last ?? "key")}`,
    remedy: "put the file back as the run wrote it",
  };
}

/** What training reads in any case. In composed configurations conf/data asks for them by `???`. */
const OWN_PATHS: readonly string[] = ["data.corpus.path", "data.questions.train"];
/** The sections that every run has written. */
const RUN_SECTIONS = ["data", "retriever", "generator", "prompt", "index", "train", "eval"];

function valueAt(plain: unknown, key: string): unknown {
  return key.split(".").reduce<unknown>((value, part) => (value as Record<string, unknown> | undefined)?.[part], plain);
}

/** Composed and interpolated, not yet checked. */
function resolveFrom(options: LoadOptions) {
  const overrides = options.overrides ?? [];
  const knownKeys = schemaKeys(schema);
  const { tree, choices, files, warnings: doubts } = composeFrom(options, overrides, knownKeys);
  const resolved = expandSchedule(interpolate(tree, options.environment ?? process.env, knownKeys));
  const needed = options.needed === undefined ? {} : { needed: options.needed };
  return { resolved, choices, files, overrides, doubts, check: { schema, knownKeys, defaultSource: schemaDefault, ...needed } };
}

/** Paths absolute, templates read from their files. */
function settled(composed: TandemConfig, sources: Readonly<Record<string, string>>): { config: TandemConfig; warnings: string[] } {
  const absolute = absolutePaths(schema, composed) as TandemConfig;
  const { prompt, warnings } = resolveTemplates(absolute.prompt, sources);
  return { config: { ...absolute, prompt }, warnings };
}

function composeFrom(options: LoadOptions, overrides: readonly string[], knownKeys: readonly string[]): Composition {
  const defaults = defaultsTree(schema, schemaDefault);
  if (options.base !== undefined)
    return composeFile(path.resolve(options.base), { folders: searchPath(options.configDir), overrides, defaults, knownKeys });
  return compose({ folders: searchPath(options.configDir), configName: options.configName ?? "config", overrides, defaults, knownKeys });
}

/** The last gate: convict's strict validation knows nothing of ours and must agree. */
function throughConvict(plain: unknown): TandemConfig {
  const config = convict(schema as unknown as convict.Schema<TandemConfig>, { env: {}, args: [] });
  config.load(plain as TandemConfig);
  config.validate({ allowed: "strict" });
  return config.getProperties();
}

/** Makes every path of a section absolute; `~/` is the home folder. A hub's name stays as it is. */
function absolutePaths(section: Section, values: unknown): unknown {
  const entries = Object.entries(values as Record<string, unknown>).map(([key, value]) => {
    const node = section[key];
    if (node === undefined) return [key, value];
    return [key, isLeaf(node) ? absolutePath(node, value) : absolutePaths(node, value)];
  });
  return Object.fromEntries(entries);
}

function absolutePath(leaf: Leaf<unknown>, value: unknown): unknown {
  if (leaf.kind === "model" && typeof value === "string") return modelPlace(value);
  if (leaf.kind !== "path" || typeof value !== "string" || leaf.choices?.includes(value) === true) return value;
  return path.resolve(value.replace(/^~(?=\/|$)/, homedir()));
}
