/** What a mistake of the user's says: exactly one line, no stack. */
import { expect } from "vitest";
import { UserError } from "../../src/errors.js";

/** The line of the UserError that the body throws; fails if it throws nothing or a bug. */
export function userErrorOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    expect(error, String(error)).toBeInstanceOf(UserError);
    const { message } = error as UserError;
    expect(message).not.toContain("\n");
    return message;
  }
  throw new Error("nothing was refused");
}
