/**
 * The fields of a model's `config.json`, read one by one with a check each. It knows no model: names and defaults come from gpt2.ts and bert.ts.
 * The trap: JSON from elsewhere may hold a text where a number belongs, and a model made from it would fail much later, far from the cause.
 */
import { UserError } from "../errors.js";

type JsonObject = Readonly<Record<string, unknown>>;

/** Reads fields of one object; a field that is missing (or null, where the file means "unset") takes the fallback, and without one it is a fault. */
export interface ConfigFields {
  /** A whole number of at least 1. */
  readonly size: (name: string, fallback?: number) => number;
  /** A number that is finite and at least 0. */
  readonly number: (name: string, fallback: number) => number;
  /** A probability of dropping: 0 ≤ p < 1. */
  readonly dropout: (name: string, fallback: number) => number;
  readonly flag: (name: string, fallback: boolean) => boolean;
  /** One of `choices`. */
  readonly choice: <T extends string>(name: string, choices: readonly T[], fallback: T) => T;
  /** A token's id, or undefined when the file says null or nothing. */
  readonly tokenId: (name: string) => number | undefined;
  /** Refuses a setting that changes the model in a way that isn't implemented. */
  readonly refuse: (name: string, allowed: readonly unknown[]) => void;
  readonly fault: (name: string, expected: string) => UserError;
}

/** @param where the file, for messages. */
export function configFields(json: JsonObject, where: string): ConfigFields {
  const valueOf = (name: string): unknown => (Object.hasOwn(json, name) ? (json[name] ?? undefined) : undefined);
  const fault = (name: string, expected: string): UserError => {
    const value = valueOf(name);
    const got = value === undefined ? "nothing" : JSON.stringify(value);
    return new UserError({ where: `${where}: ${name}`, what: "does not fit", expected, got, remedy: "mend the config or fetch it again" });
  };
  const read = <T>(name: string, fallback: T | undefined, expected: string, fits: (value: unknown) => value is T): T => {
    const value = valueOf(name) ?? fallback;
    if (!fits(value)) throw fault(name, expected);
    return value;
  };
  const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 1;
  return {
    size: (name, fallback) => read(name, fallback, "a whole number of at least 1", isCount),
    number: (name, fallback) => read(name, fallback, "a number of at least 0", isNumber),
    dropout: (name, fallback) =>
      read(name, fallback, "a number from 0 to below 1", (value): value is number => isNumber(value) && value < 1),
    flag: (name, fallback) => read(name, fallback, "true or false", (value): value is boolean => typeof value === "boolean"),
    choice: <T extends string>(name: string, choices: readonly T[], fallback: T) =>
      read<T>(name, fallback, `one of ${choices.join(", ")}`, (value): value is T => choices.includes(value as T)),
    tokenId: (name) => {
      const value = valueOf(name);
      // Llama's and some GPT-2 derivatives' configs name several end tokens; the first is the one that is written.
      const id: unknown = Array.isArray(value) ? value[0] : value;
      if (id === undefined) return undefined;
      if (!Number.isSafeInteger(id) || (id as number) < 0) throw fault(name, "a token's number or null");
      return id as number;
    },
    refuse: (name, allowed) => {
      const value = valueOf(name);
      if (value === undefined || allowed.includes(value)) return;
      throw fault(name, `${allowed.map(String).join(" or ")} (anything else isn't implemented)`);
    },
    fault,
  };
}
