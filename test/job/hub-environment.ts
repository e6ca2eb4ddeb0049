/** The environment's variables about the hub and proxies, as a test wants them and nothing else: what a developer has set must not leak into a test. */
import path from "node:path";

const ABOUT_HUB = /^(HF_|HUGGING|TRANSFORMERS_OFFLINE|https?_proxy$|no_proxy$|all_proxy$)/i;

/** A copy of this process's environment with these variables alone; the token file is looked for in `home`. */
export function hubEnvironment(home: string, changes: Readonly<Record<string, string>>): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !ABOUT_HUB.test(entry[0]),
  );
  return { ...Object.fromEntries(kept), HF_HOME: path.join(home, "hf-home"), ...changes };
}

/** The same for this process itself. */
export function setHubEnvironment(home: string, changes: Readonly<Record<string, string>>): void {
  const wanted = hubEnvironment(home, changes);
  for (const name of Object.keys(process.env)) if (!(name in wanted)) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, wanted);
}
