/** A Python one-liner as a shell command for a remedy: quoted, so that a path with spaces or quotes in it can be pasted. */
export function pythonCommand(code: string): string {
  return `python3 -c '${code.replaceAll("'", `'\\''`)}'`;
}
