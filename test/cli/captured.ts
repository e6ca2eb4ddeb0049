/** A command run in this process, as yargs runs it, with what it prints. Its mistakes are thrown; exits and their codes are exit.test.ts's. */
import { vi } from "vitest";
import yargs, { type CommandModule } from "yargs";

export interface Captured {
  readonly out: string;
  readonly error: string;
}

export async function captured(command: object, words: readonly string[]): Promise<Captured> {
  const printed = { out: "", error: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      printed[name === "stdout" ? "out" : "error"] += String(text);
      return true;
    }),
  );
  try {
    await yargs()
      .scriptName("tandem")
      .strict()
      .exitProcess(false)
      .parserConfiguration({ "parse-positional-numbers": false, "dot-notation": false })
      .command(command as CommandModule)
      .fail((message, error) => {
        throw (error as Error | undefined) ?? new Error(message);
      })
      .parseAsync([...words]);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return printed;
}
