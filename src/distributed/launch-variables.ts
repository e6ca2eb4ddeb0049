/**
 * Single variables that launchers set, read strictly: an integer, a port. It doesn't know which launcher means what. The trap: `Number("")` is 0 and `Number("0x10")` is 16; a rank that was read
 * so loosely would be another process's rank.
 */
import { UserError } from "../errors.js";

/** The environment as it is now: torchrun changes rank and size from one attempt to the next, so no value of it is kept. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable's text; what is set to nothing counts as not set, as in a shell's `${NAME:-}`. */
export function textOf(environment: Environment, name: string): string | undefined {
  const text = environment[name]?.trim();
  return text === "" ? undefined : text;
}

/**
 * The variable as a whole number from 0 on, or nothing when it isn't set.
 *
 * @throws UserError when it is anything else
 */
export function countOf(environment: Environment, name: string): number | undefined {
  const text = textOf(environment, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new UserError({
      where: name,
      what: "isn't a whole number",
      expected: "0, 1, 2 …",
      got: `'${text}'`,
      remedy: "unset it or mend it",
    });
  return Number(text);
}

/** @throws UserError when the variable isn't set or isn't a whole number */
export function neededCountOf(environment: Environment, name: string, because: string): number {
  const count = countOf(environment, name);
  if (count === undefined) throw missing(name, because);
  return count;
}

export function missing(name: string, because: string): UserError {
  return new UserError({ where: name, what: `isn't set, but ${because}`, remedy: `set ${name}, or start with torchrun or srun` });
}

/**
 * The variable as a port, or nothing when it isn't set.
 *
 * @throws UserError when it is anything else
 */
export function portOf(environment: Environment, name: string): number | undefined {
  const port = countOf(environment, name);
  return port === undefined ? undefined : checkedPort(port, name);
}

/** @throws UserError unless it is a port that every process can agree on, which 0 is not */
export function checkedPort(port: number, where: string): number {
  if (port >= 1 && port <= 65_535) return port;
  throw new UserError({
    where,
    what: "no such port",
    expected: "1 to 65535",
    got: String(port),
    remedy: "set TANDEM_PORT to a free port of the first node",
  });
}

/** @throws UserError unless the index is below the count */
export function requireBelow(index: number, count: number, [indexName, countName]: readonly [string, string]): void {
  if (index < count) return;
  throw new UserError({
    where: `${indexName}=${index}`,
    what: "there is no such process",
    expected: `less than ${countName}=${count}`,
    remedy: `mend ${indexName} or ${countName}`,
  });
}
