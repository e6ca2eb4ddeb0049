/** Proves what stands in the file by which torchrun learns why a process failed. Alone: npx vitest run test/distributed/torchrun-error-file.test.ts */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it } from "vitest";
import { tellTorchrun } from "../../src/distributed/torchrun-error-file.js";

const folder = mkdtempSync(path.join(tmpdir(), "tandem-error-file-"));

it("has the line and whole seconds, in torchrun's form", () => {
  const file = path.join(folder, "error.json");
  tellTorchrun({ TORCHELASTIC_ERROR_FILE: file }, "rank 1 on node n2: connection lost", 1_700_000_000_999);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual({
    message: { message: "rank 1 on node n2: connection lost", extraInfo: { timestamp: 1_700_000_000 } },
  });
});

it.each([{}, { TORCHELASTIC_ERROR_FILE: "" }, { TORCHELASTIC_ERROR_FILE: path.join(folder, "none/error.json") }])(
  "isn't written without torchrun, nor where it can't be: %o",
  (environment) => {
    const before = readdirSync(folder);
    expect(() => tellTorchrun(environment, "anything")).not.toThrow();
    expect(readdirSync(folder)).toEqual(before);
  },
);
