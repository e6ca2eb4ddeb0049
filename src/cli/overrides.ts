/**
 * The `key=value` words that commands share: how they are declared to yargs and made into a configuration. It isn't their grammar, which is
 * `src/config/overrides.ts`. The trap: warnings go to stderr, stdout is for results.
 */
import type { Argv } from "yargs";
import { loadConfig, type LoadedConfig, type LoadOptions } from "../config/load-config.js";

/** What {@link withOverrides} adds to a command's arguments. */
export interface OverrideArguments {
  /** The words as they were typed. */
  overrides: string[];
  /** A folder searched before the package's own `conf/`. */
  configDir: string | undefined;
}

/** Declares the words and `--config-dir`; the command's string must hold `[overrides..]`. */
export function withOverrides<Arguments>(yargs: Argv<Arguments>): Argv<Arguments & OverrideArguments> {
  return yargs
    .positional("overrides", {
      type: "string",
      array: true,
      default: [] as string[],
      describe: "settings: key=value, group=choice, +new=value, ~gone; later ones win",
    })
    .option("config-dir", {
      type: "string",
      requiresArg: true,
      describe: "a folder with configuration files of your own, searched before conf/",
    }) as unknown as Argv<Arguments & OverrideArguments>;
}

/**
 * Loads the configuration that the words ask for and prints its warnings.
 * @param isQuiet another process of the job prints them
 * @throws UserError for whatever is wrong in a file or a word
 */
export function configOf(
  command: OverrideArguments,
  options: Omit<LoadOptions, "overrides" | "configDir"> = {},
  isQuiet = false,
): LoadedConfig {
  const folder = command.configDir === undefined ? {} : { configDir: command.configDir };
  const loaded = loadConfig({ ...options, ...folder, overrides: command.overrides });
  if (!isQuiet) for (const warning of loaded.warnings) process.stderr.write(`warning: ${warning}\n`);
  return loaded;
}
