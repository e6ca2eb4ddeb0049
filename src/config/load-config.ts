/**
 * From files and overrides to the checked configuration: compose, interpolate, check, convict, cross-check. The one door for every command. The
 * trap: relative paths count from the current folder, and in {@link LoadedConfig.config} they are absolute already, so that a saved run can be
 * resumed from anywhere; `composed` has them as they were written.
 */
import { homedir } from "node:os";
import path from "node:path";
import convict from "convict";
import { checkTree } from "./check-tree.js";
import { compose, composeFile, type Composition, schemaDefault } from "./compose.js";
import { crossCheck } from "./cross-checks.js";
import { type Environment, interpolate } from "./interpolate.js";
import { isLeaf, type Leaf, type Section } from "./leaf.js";
import { resolveTemplates } from "./prompt-templates.js";
import { schema, type TandemConfig } from "./schema.js";
import { defaultsTree, schemaKeys } from "./schema-keys.js";
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
  const overrides = options.overrides ?? [];
  const knownKeys = schemaKeys(schema);
  const { tree, choices, files } = composeFrom(options, overrides, knownKeys);
  const resolved = interpolate(tree, options.environment ?? process.env, knownKeys);
  const needed = options.needed === undefined ? {} : { needed: options.needed };
  const { plain, sources, missing } = checkTree(resolved, { schema, knownKeys, defaultSource: schemaDefault, ...needed });
  const composed = throughConvict(plain);
  const absolute = absolutePaths(schema, composed) as TandemConfig;
  const { prompt, warnings } = resolveTemplates(absolute.prompt, sources);
  const config = { ...absolute, prompt };
  return { config, composed, sources, choices, files, overrides, missing, warnings: [...warnings, ...crossCheck(config, sources)] };
}

function composeFrom(options: LoadOptions, overrides: readonly string[], knownKeys: readonly string[]): Composition {
  const defaults = defaultsTree(schema, schemaDefault);
  if (options.base !== undefined) return composeFile(path.resolve(options.base), { overrides, defaults, knownKeys });
  return compose({ folders: searchPath(options.configDir), configName: options.configName ?? "config", overrides, defaults, knownKeys });
}

/** The last gate: convict's strict validation knows nothing of ours and must agree. */
function throughConvict(plain: unknown): TandemConfig {
  const config = convict(schema as unknown as convict.Schema<TandemConfig>, { env: {}, args: [] });
  config.load(plain as TandemConfig);
  config.validate({ allowed: "strict" });
  return config.getProperties();
}

/** Makes every path of a section absolute; `~/` is the home folder. */
function absolutePaths(section: Section, values: unknown): unknown {
  const entries = Object.entries(values as Record<string, unknown>).map(([key, value]) => {
    const node = section[key];
    if (node === undefined) return [key, value];
    return [key, isLeaf(node) ? absolutePath(node, value) : absolutePaths(node, value)];
  });
  return Object.fromEntries(entries);
}

function absolutePath(leaf: Leaf<unknown>, value: unknown): unknown {
  if (leaf.kind !== "path" || typeof value !== "string" || leaf.choices?.includes(value) === true) return value;
  return path.resolve(value.replace(/^~(?=\/|$)/, homedir()));
}
