/** What tests of bad input share: a folder that goes away, the one line that a body fails with, and what stands in a folder afterwards. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect } from "vitest";
import { UserError } from "../../src/errors.js";

/** A fresh folder, removed when the test file is done. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "tandem-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The message of the UserError that `body` throws: one line, and nothing but a UserError will do. */
export function faultOf(body: () => unknown): string {
  let thrown: unknown;
  try {
    body();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(UserError);
  const { message } = thrown as UserError;
  expect(message).not.toContain("\n");
  return message;
}

/** All names in the folder, hidden ones too: half-written files would show. */
export function namesIn(folder: string): string[] {
  return readdirSync(folder).sort();
}
