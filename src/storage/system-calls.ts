/**
 * The add-on for what Node lacks of the operating system (native/mmap/addon.cc): its surface and its loader. It needs no libtorch, so worker threads load it too. The trap: it is loaded at first use only; a command
 * that maps nothing must not fail where it isn't built.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { UserError } from "../errors.js";
import { packageRoot } from "./package-root.js";

interface SystemCalls {
  /** Without a length: to the end of the file. A failed system call throws with `code`, a wrong range a RangeError. */
  map(path: string, offset: number, length?: number): ArrayBuffer;
  /** A descriptor of the file that holds its lock; undefined when another process holds it. A failed system call throws with `code`. */
  lock(path: string): number | undefined;
  /** Begins to load a library in a thread of its own; the first call alone does something. What is wrong with the library is found by whoever loads it for good. */
  loadAhead(path: string): void;
  /** From now on the kernel kills this process when the one that started it is gone. A parent that is gone already isn't noticed. */
  endWithParent(): void;
  /** Sleeps until that thread has ended; needed before the process does. */
  awaitAhead(): void;
}

let loaded: SystemCalls | undefined;

/** @throws UserError when the add-on isn't built */
export function systemCalls(): SystemCalls {
  loaded ??= loadAddon();
  return loaded;
}

function loadAddon(): SystemCalls {
  const path = join(nativeFolder(), "mmap", "mmap.node");
  const remedy = "run bash scripts/setup.sh";
  if (!existsSync(path)) throw new UserError({ where: path, what: "the memory-map add-on isn't built", remedy });
  try {
    const addon = createRequire(import.meta.url)(path) as SystemCalls;
    if (!("endWithParent" in addon)) throw new Error("it was built from older sources");
    return addon;
  } catch (error) {
    const got = error instanceof Error ? error.message : String(error);
    throw new UserError({ where: path, what: "the memory-map add-on can't be loaded", got, remedy }, { cause: error });
  }
}

/** `$TANDEM_NATIVE`, else where the build puts the add-ons. */
export function nativeFolder(): string {
  const named = process.env["TANDEM_NATIVE"];
  return named !== undefined && named !== "" ? named : join(packageRoot(), "build");
}
