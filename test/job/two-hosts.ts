/**
 * Two hosts on one machine: network namespaces with a cable between them, each with a host name of its own, and nothing else in them but a loopback. Not a test: used by those of training on several hosts. Processes and files are
 * the machine's. The traps: a namespace outlives the process that made it, so those of processes that are gone are swept away; and one that is taken away lives on as long as a process is in it.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";

const CABLE = "cable";
const NAMESPACES = "/run/netns";

export interface Host {
  readonly name: string;
  /** On the cable. */
  readonly address: string;
  /** The words that run a command there, in the same process. */
  on(command: readonly string[]): string[];
  /** Pulls the cable out of this host, or puts it in again. */
  cable(is: "up" | "down"): void;
}

export interface TwoHosts {
  readonly hosts: readonly [Host, Host];
  remove(): void;
}

/** Makes them, or says why that can't be done here. Installs `ip` from Debian where it is missing. */
export function twoHosts(): TwoHosts | string {
  if (process.getuid?.() !== 0) return "without root";
  if (!installed()) return "without the command ip, which couldn't be installed";
  sweep();
  const hosts = [host("a", "10.83.0.1"), host("b", "10.83.0.2")] as const;
  const remove = (): void => {
    for (const { namespace } of hosts) ip("netns", "del", namespace);
  };
  const [first, second] = hosts.map(({ namespace }) => namespace) as [string, string];
  const trouble =
    ip("netns", "add", first) ??
    ip("netns", "add", second) ??
    ip("link", "add", CABLE, "netns", first, "type", "veth", "peer", "name", CABLE, "netns", second) ??
    hosts.map(({ setUp }) => setUp()).find((line) => line !== undefined);
  if (trouble === undefined) return { hosts, remove };
  remove();
  return `where the system permits no network namespaces: ${trouble}`;
}

function host(letter: string, address: string): Host & { namespace: string; setUp: () => string | undefined } {
  const namespace = `tandem-${process.pid}-${letter}`;
  const name = `host-${letter}`;
  const link = (is: "up" | "down"): string | undefined => ip("-n", namespace, "link", "set", CABLE, is);
  return {
    namespace,
    name,
    address,
    setUp: () =>
      ip("-n", namespace, "addr", "add", `${address}/30`, "dev", CABLE) ?? ip("-n", namespace, "link", "set", "lo", "up") ?? link("up"),
    // Not `ip netns exec`, which hides the control groups that say how many cores there are.
    on: (command) => {
      const named = ["sh", "-c", `echo ${name} > /proc/sys/kernel/hostname && exec "$@"`, "sh", ...command];
      return ["nsenter", `--net=${NAMESPACES}/${namespace}`, "unshare", "--uts", ...named];
    },
    cable: (is) => {
      const trouble = link(is);
      if (trouble !== undefined) throw new Error(trouble);
    },
  };
}

/** What `ip` complains of, if anything. */
function ip(...words: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync("ip", words, { encoding: "utf8" });
  return status === 0 ? undefined : `ip ${words.join(" ")}: ${error?.message ?? stderr.trim()}`;
}

function installed(): boolean {
  if (ip("-V") === undefined) return true;
  const line = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iproute2";
  spawnSync("sh", ["-c", line], { stdio: "ignore" });
  return ip("-V") === undefined;
}

/** Takes away what a killed test left. */
function sweep(): void {
  if (!existsSync(NAMESPACES)) return;
  for (const entry of readdirSync(NAMESPACES)) {
    const pid = /^tandem-(\d+)-[ab]$/.exec(entry)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip("netns", "del", entry);
  }
}
