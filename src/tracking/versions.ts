/**
 * What a run ran on: versions of the program and its packages, and the machine. What only the engine knows (libtorch, device, threads) is
 * handed in by the caller, since nothing here may load libtorch.
 * The trap: package.json holds what was asked for; what is installed stands in node_modules, and that is what counts.
 */
import { existsSync } from "node:fs";
import { cpus, hostname, release, totalmem } from "node:os";
import { join } from "node:path";
import { expectObject, readJson } from "../storage/json-file.js";
import { packageRoot } from "../storage/package-root.js";

/** Names and versions, ready for JSON. */
export type Versions = Readonly<Record<string, string | number>>;

/**
 * Versions of Tandem, Node and the packages that Tandem runs on, and the facts of the machine that change numbers or speed.
 *
 * @param more what the caller knows besides (libtorch, device, threads …); goes last and wins
 */
export function collectVersions(more: Versions = {}): Versions {
  const root = packageRoot();
  const self = expectObject(readJson(join(root, "package.json")), "package.json");
  const dependencies = expectObject(self["dependencies"] ?? {}, "package.json, dependencies");
  const packages = Object.entries(dependencies).map(([name, wanted]) => [name, installedVersion(root, name) ?? String(wanted)]);
  const processors = cpus();
  return {
    tandem: String(self["version"]),
    node: process.versions.node,
    ...(Object.fromEntries(packages) as Record<string, string>),
    platform: `${process.platform} ${release()} ${process.arch}`,
    host: hostname(),
    processor: processors[0]?.model.trim() ?? "unknown",
    cores: processors.length,
    memory_bytes: totalmem(),
    ...more,
  };
}

function installedVersion(root: string, name: string): string | undefined {
  const path = join(root, "node_modules", name, "package.json");
  if (!existsSync(path)) return undefined;
  const { version } = expectObject(readJson(path), path);
  return typeof version === "string" ? version : undefined;
}
