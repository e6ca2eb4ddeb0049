/** Proves that the limits of containers and batch jobs are read from control groups of both versions, and that nonsense is "no limit". */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { groupLimits } from "../../src/cli/cgroup.js";

const files = (content: Record<string, string>) => (path: string) => content[path];
const gib = 2 ** 30;

describe("groupLimits", () => {
  it("reads version 2", () => {
    const read = files({
      "/proc/self/cgroup": "0::/system.slice/job\n",
      "/sys/fs/cgroup/system.slice/job/memory.max": `${4 * gib}\n`,
      "/sys/fs/cgroup/system.slice/job/memory.current": `${gib}\n`,
      "/sys/fs/cgroup/system.slice/job/cpu.max": "150000 100000\n",
    });
    expect(groupLimits(read)).toEqual({ memoryBytes: 4 * gib, memoryUsedBytes: gib, cpus: 1.5 });
  });

  it("takes the tightest limit of the folders above", () => {
    const read = files({
      "/proc/self/cgroup": "0::/a/b/c\n",
      "/sys/fs/cgroup/a/b/c/memory.max": "max\n",
      "/sys/fs/cgroup/a/b/memory.max": `${8 * gib}\n`,
      "/sys/fs/cgroup/a/memory.max": `${2 * gib}\n`,
      "/sys/fs/cgroup/a/memory.current": "5\n",
      "/sys/fs/cgroup/memory.max": `${16 * gib}\n`,
      "/sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/cpu.max": "400000 100000\n",
    });
    expect(groupLimits(read)).toEqual({ memoryBytes: 2 * gib, memoryUsedBytes: 5, cpus: 4 });
  });

  it("reads version 1, whose 'no limit' is a huge number and -1", () => {
    const paths = { "/proc/self/cgroup": "5:memory:/job\n3:cpu,cpuacct:/job\n1:name=systemd:/x\n" };
    const limited = files({
      ...paths,
      "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": `${3 * gib}`,
      "/sys/fs/cgroup/memory/job/memory.usage_in_bytes": "7",
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "200000",
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
    });
    expect(groupLimits(limited)).toEqual({ memoryBytes: 3 * gib, memoryUsedBytes: 7, cpus: 2 });
    const free = files({
      ...paths,
      "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": "9223372036854771712",
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "-1",
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
    });
    expect(groupLimits(free)).toEqual({});
  });

  it("never fails, whatever the kernel's files hold", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (groups, content) => {
        const limits = groupLimits((path) => (path === "/proc/self/cgroup" ? `0::/${groups}\n${groups}` : content));
        for (const value of Object.values(limits)) expect(Number.isFinite(value)).toBe(true);
      }),
    );
    expect(groupLimits(() => undefined)).toEqual({});
  });

  it("never leaves the control groups' folder", () => {
    const asked: string[] = [];
    groupLimits((path) => {
      asked.push(path);
      return path === "/proc/self/cgroup" ? "0::/../../etc\n" : undefined;
    });
    expect(asked.slice(1).every((path) => path.startsWith("/sys/fs/cgroup") && !path.includes(".."))).toBe(true);
  });
});
