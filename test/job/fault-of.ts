/** The one line of the UserError that a promise is rejected with; anything else fails the test. */
import { expect } from "vitest";
import { UserError } from "../../src/errors.js";

export async function faultOf(body: () => unknown): Promise<string> {
  let thrown: unknown;
  try {
    await body();
  } catch (error) {
    thrown = error;
  }
  expect(thrown, String(thrown)).toBeInstanceOf(UserError);
  const { message } = thrown as UserError;
  expect(message).not.toContain("\n");
  return message;
}
